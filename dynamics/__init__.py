"""How attention learns: from equations to trajectories."""
