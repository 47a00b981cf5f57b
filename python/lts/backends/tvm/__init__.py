"""Apache TVM: models compiled ahead of time for any processor that LLVM knows."""
