"""The exploring executor: runs routines in every order, on sequentially consistent memory or x86-TSO (design §1)."""
