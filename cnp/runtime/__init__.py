"""What runs when a function is compiled and called: code memory, the core, the linker, callables."""
