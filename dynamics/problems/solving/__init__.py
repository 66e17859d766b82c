"""What is done around an integration: stages, plans, what is observed and conserved, stated errors."""
