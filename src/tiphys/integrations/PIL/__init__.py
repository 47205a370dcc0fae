"""Pillow: images. Nothing of Pillow is imported here."""

from __future__ import annotations

from tiphys.ports.component import Integration

INTEGRATION = Integration(
    name="PIL",
    requires=("PIL",),
    materializers={"PIL.Image.Image": "tiphys.integrations.PIL.materializers:ImageMaterializer"},
)
