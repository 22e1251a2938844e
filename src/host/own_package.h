/* The Python package that belongs to this copy of the library.
 *
 * A host that links libstoa has Python initialised by stoa_runtime_open, isolated from the environment. What is in its prefix is
 * not on sys.path, so `import stoa` there found nothing, or the package of another library. The library knows where it lies
 * itself, and installed beside it, or around it (build tree, wheel), is the package.
 */
#ifndef STOA_HOST_OWN_PACKAGE_H
#define STOA_HOST_OWN_PACKAGE_H

/* Puts its folder at the end of sys.path of the current interpreter; 0, too, where there is none, or it is there already. -1
 * with an exception. GIL. */
int stoa__own_package_add(void);

#endif
