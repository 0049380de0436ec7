"""The flow from a checked job to a finished video: one producer, a pool of pollers, a pool of downloaders."""
