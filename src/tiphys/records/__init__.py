"""ML records and their filters: frozen, slotted data, one file a subject. They know nothing of where they are kept."""
