"""What each host reports about itself."""
