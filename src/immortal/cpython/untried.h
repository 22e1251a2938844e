/* Modules of the standard library that interpreters with a GIL of their own must not load, on 3.12.
 *
 * _datetime, _decimal and _zoneinfo cannot be used there, and an import of them fails. But what has run of them until
 * then has filled static variables of the process from the memory of that interpreter: when the main one imports the
 * module later, it crashes (tried with 3.12.1 alone, without us). All three have a twin in Python, which their packages
 * use where an import of the C module fails: so it is made to fail before anything of it runs. _zoneinfo failed in
 * another way than its package expects, so there was no zoneinfo at all.
 *
 * Likewise the names of a C function's parameters are a tuple for the whole process, made by the interpreter that first calls
 * it by keyword, and freed by the main one as its own when the program ends, which aborts over it (import ssl or asyncio
 * in both is enough). So they are made immortal before.
 *
 * Can go with 3.12: later versions load all three, and make those tuples in the main interpreter.
 */
#ifndef STOA_IMMORTAL_CPYTHON_UNTRIED_H
#define STOA_IMMORTAL_CPYTHON_UNTRIED_H

/* As soon as an interpreter takes part. -1 with an exception. The interpreter's GIL. Idempotent. */
int stoa__modules_untried(void);

/* When the main interpreter ends; its GIL. */
void stoa__parameter_names_keep(void);

#endif
