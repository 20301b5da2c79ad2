"""The protocols whose streams are repaired, one package each."""
