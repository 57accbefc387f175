"""Data: file formats, sources, the embedded demo world, fingerprints, the batch plan and the data module."""
