"""Games that no one here wrote, as sources of clips: mappings in YAML, and a Doom environment."""
