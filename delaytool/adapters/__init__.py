"""Other people's models into ours."""
