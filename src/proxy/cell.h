/* A cell: how one small value crosses without a parcel (proxy/request.h). Written under the sender's GIL, read under
 * the receiver's. */
#ifndef STOA_PROXY_CELL_H
#define STOA_PROXY_CELL_H

#include "proxy/proxy.h"

#define STOA_CELL_TEXT 40

enum { STOA_CELL_SHARED, STOA_CELL_INT, STOA_CELL_FLOAT, STOA_CELL_ASCII, STOA_CELL_HANDLE };

typedef struct stoa_cell {
    uint32_t kind, size;
    union {
        PyObject *object;
        int64_t integer;
        double real;
        stoa_handle handle;
        char text[STOA_CELL_TEXT];
    } as;
} stoa_cell;

/* 0: done; 1: it does not fit a cell; -1 with an exception. `side` is the sender's. `name`: text that names something. */
int stoa__cell_write(stoa_side *side, PyObject *object, bool name, stoa_cell *out);
/* New reference; takes over the handle in the cell. `record` is the receiver's, current. */
PyObject *stoa__cell_read(stoa_interp_record *record, const stoa_cell *from);
/* Not read: gives up the handles in them. */
void stoa__cells_drop(const stoa_cell *cells, Py_ssize_t count);

#endif
