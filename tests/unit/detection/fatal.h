/* A note on stderr when a signal of a fault ends the program (SIGSEGV, SIGBUS, SIGILL, SIGFPE,
 * SIGABRT, SIGSYS): which, where, in which thread, which version. The signal then has its usual
 * effect, a core file too. Depends on: libc. Threads: fatal_install by main, before others. */
#pragma once

/* `program` and `version` are borrowed for ever. A sanitizer's own handlers are left alone. */
void fatal_install(const char *program, const char *version);
