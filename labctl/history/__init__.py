"""What happens in a run: events, the journal that writes them down, and the story that people read."""
