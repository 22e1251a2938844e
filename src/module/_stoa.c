/* The extension module that `import stoa` loads: all of it is in libstoa. */
#include "module/module.h"

PyMODINIT_FUNC
PyInit__stoa(void)
{
    return stoa_module_init();
}
