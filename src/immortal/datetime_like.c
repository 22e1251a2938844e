#include "immortal/datetime_like.h"

#include "immortal/cpython/cpython.h"

#include <datetime.h>

bool
stoa__is_datetime_like(PyObject *object, const char **why)
{
    const PyTypeObject *type = Py_TYPE(object);
    PyObject *zone;
    if (type == stoa__runtime.date || type == stoa__runtime.timedelta) {
        return true;
    }
    if (type == stoa__runtime.datetime) {
        zone = PyDateTime_DATE_GET_TZINFO(object);
    }
    else if (type == stoa__runtime.time) {
        zone = PyDateTime_TIME_GET_TZINFO(object);
    }
    else {
        return false; /* the four are NULL where each interpreter has its own */
    }
    if (zone != Py_None && zone != stoa__runtime.utc) {
        *why = "its tzinfo belongs to one interpreter; use .astimezone(datetime.timezone.utc), or "
               ".replace(tzinfo=None)";
    }
    return true;
}
