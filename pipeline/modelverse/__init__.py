"""The ModelVerse task API: its wire format, what its answers mean, and the client that talks to it."""
