"""Action-labelled clips: recorded from games, imported from other projects, checked and shown."""
