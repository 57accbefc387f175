"""Models: a pretrained body with a task's head, from the hub, a folder, or the embedded tiny encoder."""
