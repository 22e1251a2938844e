/* Where the modules of one interpreter are found: its sys.path, on its way to an interpreter that is being made, so that what
 * can be imported here can be imported there. */
#ifndef STOA_HOST_IMPORT_PATH_H
#define STOA_HOST_IMPORT_PATH_H

#include "proxy/parcel.h"

/* sys.path of the current interpreter, packed: its strings, the rest is no path. -1 with an exception. GIL. */
int stoa__import_path_pack(stoa_parcel *out);

/* Makes it the current interpreter's. -1 with an exception. GIL. */
int stoa__import_path_put(const stoa_parcel *path);

#endif
