"""The known versions and what follows from them, computed when versions or percentages change."""
