"""The words of the project: values, errors, events and ports that every other room uses. Standard library only."""
