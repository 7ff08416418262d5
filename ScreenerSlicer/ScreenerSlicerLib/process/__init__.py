"""The engine as a child process, and the stub that stands for it in self tests."""
