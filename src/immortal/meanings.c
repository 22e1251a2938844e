#include "immortal/meanings.h"

#include "immortal/plan.h"
#include "immortal/table.h"

#include <stdlib.h>

/* Looking through nodes for those that have to do with one name. */
typedef struct search {
    PyObject *module, *qualname;
    stoa_memo known; /* node -> &yes or &no */
    struct place {
        const stoa_node *node;
        size_t next;
    } * places; /* the way down */
    size_t depth, room;
} search;

static char yes, no;

static bool
is_of_name(const search *s, const stoa_node *node)
{
    return node->kind == STOA_NODE_GLOBAL && PyUnicode_Compare(node->parts[0], s->module) == 0 &&
           PyUnicode_Compare(node->parts[1], s->qualname) == 0;
}

static bool
go_down(search *s, const stoa_node *node)
{
    if (s->depth == s->room) {
        size_t room = 2 * s->room + 16;
        struct place *places = realloc(s->places, room * sizeof(*places));
        if (places == NULL) {
            return false;
        }
        s->places = places;
        s->room = room;
    }
    s->places[s->depth++] = (struct place){node, 0};
    return true;
}

/* Is the name among what the node consists of? Without memory: yes. */
static bool
consists_of(search *s, const stoa_node *root)
{
    bool found = true; /* of the node that was left last */
    s->depth = 0;
    if (!go_down(s, root)) {
        return true;
    }
    while (s->depth > 0) {
        struct place *place = &s->places[s->depth - 1];
        const stoa_node *node = place->node;
        const char *known = place->next == 0 ? stoa__memo_find(&s->known, node) : NULL;
        bool below = place->next > 0 && found;
        if (known == NULL && !below && !is_of_name(s, node)) {
            size_t count = node->count - node->raw;
            while (place->next < count && !stoa__is_node(node->parts[place->next])) {
                place->next++;
            }
            if (place->next < count) {
                found = false;
                if (!go_down(s, (const stoa_node *)node->parts[place->next++])) {
                    return true;
                }
                continue;
            }
            known = &no;
        }
        found = known != &no;
        if (!stoa__memo_put(&s->known, node, found ? &yes : &no)) {
            return true;
        }
        s->depth--;
    }
    return found;
}

static bool
is_outdated(const PyObject *node, void *arg)
{
    return consists_of(arg, (const stoa_node *)node);
}

static void
outdate(stoa_foreign_side *side, PyObject *module, PyObject *qualname)
{
    search s = {.module = module, .qualname = qualname};
    stoa__memo_init(&s.known);
    stoa__table_outdate(side, is_outdated, &s);
    stoa__memo_clear(&s.known);
    free(s.places);
    stoa__plans_outdate(side);
}

void
stoa__name_means(PyObject *module, PyObject *qualname, PyObject *object)
{
    if (!PyType_Check(object) && !PyFunction_Check(object)) {
        return; /* others may be made anew each time they are asked for */
    }
    PyObject *raised = PyErr_GetRaisedException();
    stoa_foreign_side *side = stoa__foreign_side();
    /* a text of its own: the others may lie in a region that goes; and no reference, which would keep it: what was built
     * with it keeps it */
    PyObject *name = side == NULL || side->left ? NULL : PyUnicode_FromFormat("%U:%U", module, qualname);
    PyObject *address = name == NULL ? NULL : PyLong_FromVoidPtr(object);
    if (address != NULL && side->meanings == NULL) {
        side->meanings = PyDict_New();
    }
    if (address != NULL && side->meanings != NULL) {
        PyObject *before = PyDict_GetItemWithError(side->meanings, name);
        bool changed = before != NULL && PyObject_RichCompareBool(before, address, Py_NE) == 1;
        if (PyDict_SetItem(side->meanings, name, address) == 0 && changed) {
            outdate(side, module, qualname);
        }
    }
    Py_XDECREF(name);
    Py_XDECREF(address);
    PyErr_SetRaisedException(raised);
}
