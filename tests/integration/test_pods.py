"""Containers on this machine: what they see, what they give, how they end."""

from __future__ import annotations

import io
import os
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.pod_desk import LONG, PodDesk, shell

from tiphys.engine.events import TaskProgressed, TaskReady
from tiphys.engine.model import Phase
from tiphys.integrations.local.pods import runner
from tiphys.integrations.local.pods.folder import PodFolder
from tiphys.integrations.local.pods.sandbox import sandboxing
from tiphys.sdk.pods.log_times import LogTimes
from tiphys.testing.runner_contract import wait_until


@pytest.fixture(params=["process", "sandbox"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PodDesk]:
    desk = PodDesk(tmp_path, request.param)
    yield desk
    desk.runner.close()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[PodDesk]:
    """Sandboxes."""
    desk = PodDesk(tmp_path, "sandbox")
    yield desk
    desk.runner.close()


def running_with(mark: str) -> list[int]:
    """Processes that have a text in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


class TestContainers:
    def test_output_is_the_result_without_its_last_newline(self, desk: PodDesk) -> None:
        assert desk.result("echo a; echo; echo") == "a\n\n"

    def test_it_is_known_when_lines_came(self, desk: PodDesk, tmp_path: Path) -> None:
        log = tmp_path / "log"
        desk.run(shell("echo a; sleep 1.5; echo b"), log=str(log))
        at = LogTimes(str(log)).at(len("a\n"))
        assert at is not None
        assert at < log.stat().st_mtime - 0.5

    def test_errors_are_logged_in_order_and_are_no_result(self, desk: PodDesk, tmp_path: Path) -> None:
        log = tmp_path / "logs" / "x.log"
        finished = desk.run(
            shell("echo 1; sleep 0.05; echo 2 >&2; sleep 0.05; echo 3"), log=str(log), include_result=True
        )
        assert finished.outputs is not None
        assert finished.outputs.result == "1\n3"
        assert log.read_text() == "1\n2\n3\n"

    def test_without_a_wish_for_it_there_is_no_result(self, desk: PodDesk, tmp_path: Path) -> None:
        finished = desk.run(shell("echo 1; echo 2 >&2"), include_result=False, log=str(tmp_path / "log"))
        assert finished.outputs is not None
        assert finished.outputs.result is None
        assert (tmp_path / "log").read_text() == "1\n2\n"

    def test_of_a_long_result_the_end_is_kept(self, desk: PodDesk, tmp_path: Path) -> None:
        found = desk.result("python -c \"print('a' * 3_000_000 + 'b' * 262144)\"")
        assert found == "b" * 262144

    @pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -9 $$$$", 137), ("kill -15 $$$$", 143)])
    def test_a_failure_has_an_exit_code(self, desk: PodDesk, script: str, code: int) -> None:
        finished = desk.sh(script)
        assert (finished.phase, finished.message) == (Phase.FAILED, f"main: Error (exit code {code})")
        assert finished.outputs is not None
        assert finished.outputs.exit_code == code

    def test_a_program_that_is_not_here(self, desk: PodDesk) -> None:
        finished = desk.run({"container": {"image": "ghcr.io/x/y:1", "command": ["no-such-program"]}})
        assert finished.phase is Phase.FAILED
        assert "there is no program 'no-such-program'" in finished.message
        assert "ghcr.io/x/y:1" in finished.message

    def test_a_path_that_is_not_here(self, desk: PodDesk) -> None:
        finished = desk.run({"container": {"image": "x", "command": ["/no/such/program"]}})
        assert finished.phase is Phase.FAILED
        assert "/no/such/program" in finished.message
        assert "No such file or directory" in finished.message

    def test_an_unknown_image_without_a_command(self, desk: PodDesk) -> None:
        finished = desk.run({"container": {"image": "ghcr.io/x/y:1", "args": ["a"]}})
        assert finished.phase is Phase.ERROR
        assert "`command`" in finished.message

    def test_entry_points_of_known_images(self, desk: PodDesk) -> None:
        assert (
            desk.result("", container={"image": "argoproj/argosay:v2", "command": None, "args": None}) == "hello argo"
        )
        for command in ({}, {"command": ["/argosay"]}):
            finished = desk.run({"container": {"image": "argoproj/argosay:v2", "args": ["echo", "hi"], **command}})
            assert finished.outputs is not None
            assert finished.outputs.result == "hi"

    def test_scripts(self, desk: PodDesk) -> None:
        script = {
            "image": "python:alpine3.6",
            "command": ["python"],
            "source": "import sys\nprint(6 * 7, len(sys.argv))\n",
        }
        finished = desk.run({"script": script})
        assert finished.outputs is not None
        assert finished.outputs.result == "42 1"

    def test_python_is_found_from_a_shell(self, desk: PodDesk) -> None:
        assert desk.result("python -c 'print(1)'; ash -c 'echo $((RANDOM >= 0))'") == "1\n1"

    def test_the_environment_is_the_containers_own(self, desk: PodDesk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET_OF_THE_HOST", "x")
        desk.cluster.config_maps["c"] = {"colour": b"blue"}
        desk.cluster.secrets["s"] = {"key": b"hidden"}
        found = desk.result(
            "env",
            container={
                "env": [
                    {"name": "PLAIN", "value": "a $(COLOUR)"},
                    {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}},
                    {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                ],
                "envFrom": [{"prefix": "P_", "configMapRef": {"name": "c"}}],
            },
        )
        variables = dict(line.split("=", 1) for line in found.splitlines() if "=" in line)
        assert variables["PLAIN"] == "a $(COLOUR)"
        assert variables["SECRET"] == "hidden"
        assert variables["P_colour"] == "blue"
        assert variables["POD"] == "n0"
        assert variables["ARGO_NODE_ID"] == "n0"
        assert variables["ARGO_CONTAINER_NAME"] == "main"
        assert "SECRET_OF_THE_HOST" not in variables

    def test_a_missing_secret_is_an_error(self, desk: PodDesk) -> None:
        variable = {"name": "X", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k"}}}
        finished = desk.sh("true", container={"env": [variable]})
        assert finished.phase is Phase.ERROR
        assert "there is no Secret 'none'" in finished.message

    def test_large_templates_and_arguments(self, desk: PodDesk) -> None:
        text = "x" * 200_000
        assert desk.result("echo $ARGO_TEMPLATE", annotations={"long": text}) == "offloaded"
        finished = desk.run({"container": {"image": "python", "command": ["python", "-c", _SIZE_OF_FILE, text]}})
        assert finished.outputs is not None
        assert finished.outputs.result == "200000"

    def test_what_is_left_behind_ends_with_its_container(self, desk: PodDesk) -> None:
        assert desk.result("sleep 1000 & echo done", container={"env": [{"name": "M", "value": "behind"}]}) == "done"
        wait_until(lambda: not running_with("M=behind"))

    def test_many_at_once(self, desk: PodDesk) -> None:
        tasks = {desk.launch(shell(f"echo {number}")).id: str(number) for number in range(30)}
        ends = [desk.next_report() for _ in tasks]
        assert {end.task_id: end.outputs and end.outputs.result for end in ends} == tasks


_SIZE_OF_FILE = "import sys; print(len(open(sys.argv[1][1:]).read()))"


class TestCancelling:
    def test_a_container_is_asked_first(self, desk: PodDesk, tmp_path: Path) -> None:
        log = tmp_path / "log"
        script = "trap 'echo cleaned; exit 0' TERM; echo started; while true; do sleep 0.02; done"
        task = desk.launch(shell(script), log=str(log))
        wait_until(lambda: log.exists() and "started" in log.read_text())
        desk.runner.cancel(task.id, 30)
        wait_until(lambda: "cleaned" in log.read_text())
        assert desk.result("echo 1") == "1"
        assert desk.reports.empty()

    def test_grandchildren_are_killed(self, desk: PodDesk) -> None:
        script = "trap '' TERM; (trap '' TERM; sleep 1000) & sleep 1000 & sleep 1000; sleep 1000"
        task = desk.launch(shell(script, env=[{"name": "M", "value": "grand"}]))
        wait_until(lambda: len(running_with("M=grand")) >= 4)
        desk.runner.cancel(task.id, 0.2)
        wait_until(lambda: not running_with("M=grand"))

    def test_what_left_its_group_is_killed_with_its_pod(self, desk: PodDesk) -> None:
        script = "(setsid sh -c 'sleep 1000; true' &); sleep 0.1; echo done"
        assert desk.result(script, container={"env": [{"name": "M", "value": "left"}]}) == "done"
        wait_until(lambda: not running_with("M=left"))

    def test_closing_ends_what_runs(self, tmp_path: Path) -> None:
        desk = PodDesk(tmp_path, "process")
        desk.launch(shell("sleep 1000", env=[{"name": "M", "value": "closing"}]))
        wait_until(lambda: running_with("M=closing"))
        desk.runner.close()
        desk.runner.close()
        assert not running_with("M=closing")
        assert desk.reports.empty()

    def test_one_id_is_carried_out_once(self, desk: PodDesk, tmp_path: Path) -> None:
        noted = tmp_path / "noted"
        task = desk.launch(shell("sleep 0.2; echo x"), log=str(noted))
        desk.runner.launch(task, desk.report)
        first = desk.next_report()
        desk.runner.launch(task, desk.report)
        assert desk.next_report() == first
        assert noted.read_text() == "x\n"


class TestPods:
    def test_sidecars_end_with_main(self, desk: PodDesk) -> None:
        sidecar = {"name": "side", "image": "busybox", "command": ["sh", "-c", "while true; do sleep 0.05; done"]}
        began = time.monotonic()
        assert desk.result("echo done", sidecars=[sidecar]) == "done"
        assert time.monotonic() - began < LONG / 2

    def test_a_sidecar_that_fails_by_itself_fails_the_pod(self, desk: PodDesk) -> None:
        sidecar = {"name": "side", "image": "busybox", "command": ["sh", "-c", "exit 7"]}
        finished = desk.sh("sleep 0.3", sidecars=[sidecar])
        assert (finished.phase, finished.message) == (Phase.FAILED, "side: Error (exit code 7)")

    def test_containers_share_the_network(self, desk: PodDesk) -> None:
        serve = (
            "import http.server as h; h.HTTPServer(('127.0.0.1', 18977), h.SimpleHTTPRequestHandler).serve_forever()"
        )
        sidecar = {"name": "side", "image": "python", "command": ["python", "-c", serve]}
        ask = (
            "import time, urllib.request as u\n"
            "for _ in range(200):\n"
            "    try: print(u.urlopen('http://127.0.0.1:18977').status); break\n"
            "    except OSError: time.sleep(0.05)\n"
        )
        script = {"image": "python", "command": ["python"], "source": ask}
        finished = desk.run({"script": script, "sidecars": [sidecar]})
        assert finished.outputs is not None
        assert finished.outputs.result == "200"

    def test_init_containers_come_first(self, desk: PodDesk, tmp_path: Path) -> None:
        log = tmp_path / "log"
        inits = [
            {"name": f"i{number}", "image": "busybox", "command": ["sh", "-c", f"echo {number} $(date +%s%N)"]}
            for number in range(2)
        ]
        finished = desk.run({**shell("date +%s%N"), "initContainers": inits}, log=str(log))
        assert finished.phase is Phase.SUCCEEDED, finished.message
        times = [(tmp_path / f"log{end}").read_text().split()[-1] for end in (".i0", ".i1", "")]
        assert times == sorted(times)

    def test_a_failing_init_container_fails_the_pod(self, desk: PodDesk) -> None:
        init = {"name": "first", "image": "busybox", "command": ["sh", "-c", "exit 2"]}
        finished = desk.sh("echo never", initContainers=[init])
        assert (finished.phase, finished.message) == (Phase.FAILED, "first: Error (exit code 2)")
        assert finished.outputs is not None
        assert finished.outputs.result is None

    def test_a_set_of_containers_has_an_order(self, desk: PodDesk) -> None:
        def one(name: str, script: str, *after: str) -> dict[str, Any]:
            return {"name": name, "image": "busybox", "command": ["sh", "-c", script], "dependencies": list(after)}

        group = {"containers": [one("main", "date +%s%N", "b"), one("a", "sleep 0.1"), one("b", "sleep 0.1", "a")]}
        began = time.time()
        finished = desk.run({"containerSet": group})
        assert finished.phase is Phase.SUCCEEDED, finished.message
        assert finished.outputs is not None
        assert float(finished.outputs.result or 0) / 1e9 - began > 0.2
        assert {end["name"]: end["code"] for end in finished.details.containers} == {"main": 0, "a": 0, "b": 0}

    def test_a_failure_in_a_set_reaches_its_dependents(self, desk: PodDesk) -> None:
        group = {
            "containers": [
                {"name": "main", "image": "busybox", "command": ["true"], "dependencies": ["a"]},
                {"name": "a", "image": "busybox", "command": ["sh", "-c", "exit 5"]},
            ]
        }
        finished = desk.run({"containerSet": group})
        assert finished.phase is Phase.FAILED
        assert {end["name"]: end["code"] for end in finished.details.containers} == {"main": 5, "a": 5}

    def test_containers_of_a_set_are_tried_again(self, desk: PodDesk, tmp_path: Path) -> None:
        container = {"name": "main", "image": "busybox", "command": ["sh", "-c", "echo try; exit 1"]}
        retry = {"retries": "3", "duration": "10ms"}
        log = tmp_path / "log"
        finished = desk.run({"containerSet": {"containers": [container], "retryStrategy": retry}}, log=str(log))
        assert finished.phase is Phase.FAILED
        assert log.read_text() == "try\n" * 3

    @pytest.mark.parametrize(
        "probe",
        [
            {"httpGet": {"path": "/", "port": "web"}},
            {"tcpSocket": {"port": 18978}},
            {"exec": {"command": ["python", "-c", "import socket; socket.create_connection(('127.0.0.1', 18978))"]}},
        ],
        ids=["http", "tcp", "exec"],
    )
    def test_a_daemon_is_ready_when_its_probe_succeeds(self, desk: PodDesk, probe: dict[str, Any]) -> None:
        serve = (
            "import time, http.server as h; time.sleep(0.3); h.HTTPServer.allow_reuse_address = True; "
            "h.HTTPServer(('127.0.0.1', 18978), h.SimpleHTTPRequestHandler).serve_forever()"
        )
        container = {
            "image": "python",
            "command": ["python", "-c", serve],
            "ports": [{"name": "web", "containerPort": 18978}],
            "readinessProbe": {**probe, "periodSeconds": 0.1, "timeoutSeconds": 5},
        }
        task = desk.launch({"container": container, "daemon": True})
        assert desk.news.get(timeout=LONG) == TaskReady(task.id, "127.0.0.1")
        desk.runner.cancel(task.id, 5)
        assert desk.result("echo 1") == "1"

    def test_a_daemon_that_ends_by_itself_has_failed(self, desk: PodDesk) -> None:
        task = desk.launch({**shell("sleep 0.3"), "daemon": True})
        assert desk.news.get(timeout=LONG) == TaskReady(task.id, "127.0.0.1")
        finished = desk.next_report()
        assert finished.phase is Phase.FAILED
        assert "daemon" in finished.message

    def test_progress_is_told(self, desk: PodDesk) -> None:
        task = desk.launch(shell("echo 1/4 > $ARGO_PROGRESS_FILE; sleep 1000"))
        assert desk.news.get(timeout=LONG) == TaskProgressed(task.id, "1/4")
        desk.runner.cancel(task.id, 0)


def tree_of(desk: PodDesk, artifact: Any) -> dict[str, bytes]:
    with desk.store.open_tree(artifact["digest"]) as tree:
        return {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file()}


class TestFiles:
    def test_parallel_nodes_write_one_path(self, box: PodDesk) -> None:
        outputs = {"parameters": [{"name": "p", "valueFrom": {"path": "/tmp/hello_world.txt"}}]}
        tasks = {}
        for number in range(8):
            script = f"echo {number} > /tmp/hello_world.txt; sleep 0.2"
            tasks[box.launch({**shell(script), "outputs": outputs}).id] = str(number)
        ends = [box.next_report() for _ in tasks]
        assert {end.task_id: end.outputs and end.outputs.parameters["p"] for end in ends} == tasks
        assert not Path("/tmp/hello_world.txt").exists()

    @pytest.mark.parametrize("path", ["/result.txt", "/out/deep/x", "/var/lib/x", "/home/me/x", "/root/.x", "/mnt/x"])
    def test_any_path_can_be_written(self, box: PodDesk, path: str) -> None:
        finished = box.sh(
            f"mkdir -p $(dirname {path}); echo 1 > {path}",
            outputs={
                "parameters": [{"name": "p", "valueFrom": {"path": path}}],
                "artifacts": [{"name": "a", "path": path}],
            },
        )
        assert finished.phase is Phase.SUCCEEDED, finished.message
        assert finished.outputs is not None
        assert finished.outputs.parameters == {"p": "1"}
        assert tree_of(box, finished.outputs.artifacts["a"]) == {Path(path).name: b"1\n"}

    def test_the_machines_files_cannot_be_written(self, box: PodDesk) -> None:
        assert box.sh("echo x > /usr/share/x-of-a-pod").phase is Phase.FAILED
        assert box.sh("echo x > /etc/x-of-a-pod").phase is Phase.FAILED

    def test_artifacts_are_passed_on(self, box: PodDesk) -> None:
        first = box.sh(
            "mkdir -p /out/d; echo 1 > /out/d/f; echo 2 > /out/x; chmod 755 /out/x; echo solo > /one.txt",
            outputs={"artifacts": [{"name": "tree", "path": "/out"}, {"name": "one", "path": "/one.txt"}]},
        )
        assert first.outputs is not None
        found = box.result(
            "cd /in; find . -type f | sort; stat -c %a x; cat /work/one; echo new > /in/x",
            inputs={
                "artifacts": [{"name": "tree", "path": "/in"}, {"name": "one", "path": "/work/one", "mode": 0o700}]
            },
            artifacts=first.outputs.artifacts,
        )
        assert found == "./d/f\n./x\n755\nsolo"

    def test_links_and_empty_folders_are_passed_on(self, box: PodDesk) -> None:
        first = box.sh(
            "mkdir -p /out/empty; echo 1 > /out/f; ln -s f /out/link",
            outputs={"artifacts": [{"name": "tree", "path": "/out"}]},
        )
        assert first.phase is Phase.SUCCEEDED, first.message
        assert first.outputs is not None
        found = box.result(
            "ls -F /in; readlink /in/link",
            inputs={"artifacts": [{"name": "tree", "path": "/in"}]},
            artifacts=first.outputs.artifacts,
        )
        assert found == "empty/\nf\nlink@\nf"

    def test_a_packed_artifact_is_unpacked_unless_that_is_forbidden(self, box: PodDesk) -> None:
        first = box.sh("echo 1 > /a; echo 2 > /b; tar czf /out.tgz /a /b", outputs={"artifacts": [_packed("/out.tgz")]})
        assert first.phase is Phase.SUCCEEDED, first.message
        assert first.outputs is not None
        for archive, expected in (({}, "a\nb"), ({"archive": {"none": {}}}, "/in")):
            inputs = {"artifacts": [{"name": "x", "path": "/in", **archive}]}
            assert box.result("ls /in", inputs=inputs, artifacts=first.outputs.artifacts) == expected

    def test_an_artifact_that_argo_would_pack_is_packed_for_who_wants_it_so(self, box: PodDesk) -> None:
        first = box.sh("mkdir /out; echo 1 > /out/f", outputs={"artifacts": [{"name": "x", "path": "/out"}]})
        assert first.outputs is not None
        inputs = {"artifacts": [{"name": "x", "path": "/in.tgz", "archive": {"none": {}}}]}
        assert box.result("tar tzf /in.tgz", inputs=inputs, artifacts=first.outputs.artifacts) == "out/\nout/f"

    def test_a_host_process_has_files_of_its_own(self, tmp_path: Path) -> None:
        desk = PodDesk(tmp_path, "process")
        inputs = {"artifacts": [{"name": "r", "path": "in/r", "raw": {"data": "1"}}]}
        outputs = {"artifacts": [{"name": "x", "path": "out"}]}
        finished = desk.sh("mkdir out; cat in/r > out/x; ls", inputs=inputs, outputs=outputs)
        desk.runner.close()
        assert finished.phase is Phase.SUCCEEDED, finished.message
        assert finished.outputs is not None
        assert finished.outputs.result == "in\nout"
        assert tree_of(desk, finished.outputs.artifacts["x"]) == {"x": b"1"}

    def test_raw_artifacts(self, box: PodDesk) -> None:
        inputs = {"artifacts": [{"name": "r", "path": "/usr/local/bin/hello", "mode": 0o755, "raw": {"data": _HELLO}}]}
        assert box.result("hello", inputs=inputs) == "hello"

    def test_artifacts_in_other_places(self, box: PodDesk) -> None:
        first = box.sh("echo 1 > /f", outputs={"artifacts": [{"name": "x", "path": "/f", "s3": {"key": ""}}]})
        assert first.phase is Phase.SUCCEEDED, first.message
        assert first.outputs is not None
        assert first.outputs.artifacts["x"] == {"name": "x", "path": "/f", "s3": {"key": "x.tgz"}}
        with tarfile.open(fileobj=io.BytesIO((box.home / "s3" / "x.tgz").read_bytes())) as archive:
            assert archive.getnames() == ["f"]
        inputs = {"artifacts": [{"name": "x", "path": "/in"}]}
        assert box.result("cat /in", inputs=inputs, artifacts=first.outputs.artifacts) == "1"

    def test_what_is_missing(self, box: PodDesk) -> None:
        no_input = box.sh("true", inputs={"artifacts": [{"name": "x", "path": "/in"}]})
        assert (no_input.phase, "required input artifact 'x'" in no_input.message) == (Phase.ERROR, True)
        optional = {"artifacts": [{"name": "x", "path": "/in", "optional": True, "s3": {"key": "none"}}]}
        assert box.sh("true", inputs=optional).phase is Phase.SUCCEEDED
        assert box.sh("true", outputs=optional).phase is Phase.SUCCEEDED
        no_output = box.sh("true", outputs={"artifacts": [{"name": "x", "path": "/out"}]})
        assert (no_output.phase, "there is no '/out'" in no_output.message) == (Phase.ERROR, True)
        no_parameter = box.sh("true", outputs={"parameters": [{"name": "p", "valueFrom": {"path": "/p"}}]})
        assert (no_parameter.phase, "'/p'" in no_parameter.message) == (Phase.ERROR, True)
        default = {"parameters": [{"name": "p", "valueFrom": {"path": "/p", "default": "d"}}]}
        finished = box.sh("true", outputs=default)
        assert finished.outputs is not None
        assert finished.outputs.parameters == {"p": "d"}

    def test_outputs_of_a_failure_are_kept(self, box: PodDesk) -> None:
        finished = box.sh(
            "echo 1 > /a; exit 1", outputs={"artifacts": [{"name": "a", "path": "/a"}, {"name": "b", "path": "/b"}]}
        )
        assert (finished.phase, finished.message) == (Phase.FAILED, "main: Error (exit code 1)")
        assert finished.outputs is not None
        assert set(finished.outputs.artifacts) == {"a"}

    def test_an_output_that_is_a_link_out_is_what_the_container_sees(self, box: PodDesk, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("of the host")
        finished = box.sh(
            f"mkdir -p {tmp_path}; cd {tmp_path}; echo own > secret; "
            f"ln -s {tmp_path}/secret /out; ln -s {tmp_path}/other /bad",
            outputs={
                "parameters": [
                    {"name": "p", "valueFrom": {"path": "/out"}},
                    {"name": "q", "valueFrom": {"path": "/bad", "default": "none"}},
                ]
            },
        )
        assert finished.outputs is not None
        assert finished.outputs.parameters == {"p": "own", "q": "none"}

    def test_logs_as_artifacts(self, box: PodDesk) -> None:
        finished = box.run(
            {**shell("echo 1; echo 2 >&2"), "archiveLocation": {"archiveLogs": True}}, include_result=False
        )
        assert finished.outputs is not None
        assert tree_of(box, finished.outputs.artifacts["main-logs"]) == {"main.log": b"1\n2\n"}


_HELLO = "#!/bin/sh\necho hello\n"


def _packed(path: str) -> dict[str, Any]:
    return {"name": "x", "path": path, "archive": {"none": {}}}


class TestVolumes:
    def test_containers_of_a_pod_share_volumes_and_nothing_else(self, box: PodDesk) -> None:
        mounts = [{"name": "v", "mountPath": "/mnt/vol"}]
        init = {"name": "i", "image": "busybox", "volumeMounts": mounts}
        init["command"] = ["sh", "-c", "echo 1 > /mnt/vol/f; echo 2 > /tmp/f"]
        found = box.result(
            "cat /mnt/vol/f; ls /tmp",
            container={"volumeMounts": mounts},
            initContainers=[init],
            volumes=[{"name": "v", "emptyDir": {}}],
        )
        assert found == "1"

    def test_config_maps_and_secrets(self, box: PodDesk) -> None:
        box.cluster.config_maps["c"] = {"a.txt": b"A", "b.txt": b"B"}
        box.cluster.secrets["s"] = {"key": b"S"}
        found = box.result(
            "cat /etc/config/* /secret/deep/k; stat -c %a /secret/deep/k; echo x > /etc/config/a.txt || echo refused",
            container={
                "volumeMounts": [{"name": "c", "mountPath": "/etc/config"}, {"name": "s", "mountPath": "/secret"}]
            },
            volumes=[
                {"name": "c", "configMap": {"name": "c"}},
                {
                    "name": "s",
                    "secret": {"secretName": "s", "items": [{"key": "key", "path": "deep/k", "mode": 0o400}]},
                },
            ],
        )
        assert found == "ABS400\nrefused"

    def test_claims_last_and_hold_outputs(self, box: PodDesk, tmp_path: Path) -> None:
        box.cluster.claims["data"] = tmp_path / "claim"
        box.cluster.claims["data"].mkdir()
        volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
        mounts = {"volumeMounts": [{"name": "v", "mountPath": "/data", "subPath": "below"}]}
        outputs = {"artifacts": [{"name": "x", "path": "/data/f"}]}
        first = box.sh("echo 1 > /data/f", container=mounts, volumes=volumes, outputs=outputs)
        assert first.phase is Phase.SUCCEEDED, first.message
        assert (tmp_path / "claim" / "below" / "f").read_text() == "1\n"
        assert box.result("cat /data/f", container=mounts, volumes=volumes) == "1"
        assert first.outputs is not None
        assert tree_of(box, first.outputs.artifacts["x"]) == {"f": b"1\n"}

    def test_an_input_artifact_in_a_volume(self, box: PodDesk) -> None:
        inputs = {"artifacts": [{"name": "r", "path": "/vol/in", "raw": {"data": "1"}}]}
        mounts = {"volumeMounts": [{"name": "v", "mountPath": "/vol"}]}
        side = {"name": "s", "image": "busybox", "mirrorVolumeMounts": True, "command": ["sh", "-c", "cat /vol/in"]}
        finished = box.sh(
            "cat /vol/in; sleep 0.3",
            container=mounts,
            inputs=inputs,
            sidecars=[side],
            volumes=[{"name": "v", "emptyDir": {}}],
        )
        assert finished.phase is Phase.SUCCEEDED, finished.message
        assert Path(finished.details.logs["s"]).read_text() == "1"

    def test_a_volume_that_cannot_be_had(self, box: PodDesk) -> None:
        finished = box.sh(
            "true",
            container={"volumeMounts": [{"name": "v", "mountPath": "/v"}]},
            volumes=[{"name": "v", "nfs": {"server": "x"}}],
        )
        assert finished.phase is Phase.ERROR
        assert "nfs" in finished.message


def test_launching_does_not_wait(desk: PodDesk) -> None:
    began = threading.Event()
    task = desk.task(shell("sleep 0.2"))

    def report(_: object) -> None:
        began.set()

    desk.runner.launch(task, report)
    assert not began.is_set()
    assert began.wait(LONG)


def test_files_that_their_owner_may_not_change_are_removed(box: PodDesk) -> None:
    box.result("mkdir -p /d/e; touch /d/e/f; chmod 0 /d/e /d; echo 1")
    pods = box.home / "pods"
    wait_until(lambda: not any((each / "root-main").exists() for each in pods.iterdir() if each.name != "bin"))


def test_what_is_old_is_removed_unless_it_runs(tmp_path: Path) -> None:
    first, second = PodDesk(tmp_path, "process"), PodDesk(tmp_path, "process")
    ended = first.run(shell("echo 1"))
    running = first.launch(shell("sleep 1000"))
    folder = PodFolder(str(tmp_path), running.id)
    wait_until(folder.server)
    for path in (tmp_path / "pods").iterdir():
        os.utime(path, (0, 0))
    second.sh("true", name="other")
    wait_until(lambda: not PodFolder(str(tmp_path), ended.task_id).exists())
    assert folder.exists()
    assert Path(folder.path).is_dir()
    first.runner.close()
    second.runner.close()


def test_sandboxes_in_a_namespace_for_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "sandboxing", lambda: sandboxing()._replace(as_root=False))
    desk = PodDesk(tmp_path, "sandbox")
    outputs = {"parameters": [{"name": "p", "valueFrom": {"path": "/out"}}]}
    finished = desk.sh("id -u > /out", outputs=outputs)
    desk.runner.close()
    assert finished.outputs is not None
    assert finished.outputs.parameters == {"p": "0"}
