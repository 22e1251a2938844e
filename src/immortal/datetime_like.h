/* Dates and times: native from 3.13 on, where their types are the same in all interpreters; on 3.12 each interpreter has
 * its own, so they are refused there. Only naive ones and those in UTC: another tzinfo is an object of an interpreter.
 */
#ifndef STOA_IMMORTAL_DATETIME_LIKE_H
#define STOA_IMMORTAL_DATETIME_LIKE_H

#include <Python.h>

#include "stoa/base.h"

/* Is it an exact date, time, datetime or timedelta? Then *why says why it cannot be frozen, or stays NULL. GIL. */
bool stoa__is_datetime_like(PyObject *object, const char **why);

#endif
