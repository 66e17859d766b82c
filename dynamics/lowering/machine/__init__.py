"""From source to machine code that other code calls: LLVM's language, threads, what is kept on disk."""
