#include "proxy/packer.h"

#include "immortal/exceptions.h"
#include "proxy/cross.h"

/* "args[0]['key']": what is being packed, by the items that the frames stand at. */
static PyObject *
describe_path(const stoa_packer *p)
{
    PyObject *path = PyUnicode_FromString(p->root);
    size_t shown = p->depth > 64 ? 64 : p->depth;
    for (size_t i = 0; i < shown && path != NULL; i++) {
        const stoa_pack_frame *f = &p->frames[i];
        Py_ssize_t index = f->next - 1;
        PyObject *step;
        if (index < 0) {
            break;
        }
        if (f->pairs && index % 2 == 1) {
            step = PyUnicode_FromFormat("[%.100R]", PyTuple_GET_ITEM(f->items, index - 1));
        }
        else if (f->pairs) {
            step = PyUnicode_FromString(".key");
        }
        else if (PyAnySet_Check(f->source)) {
            step = PyUnicode_FromString(".member");
        }
        else {
            step = PyUnicode_FromFormat("[%zd]", index);
        }
        PyObject *longer = step == NULL ? NULL : PyUnicode_Concat(path, step);
        Py_XDECREF(step);
        Py_SETREF(path, longer);
    }
    if (path != NULL && shown < p->depth) {
        Py_SETREF(path, PyUnicode_FromFormat("%U… (%zu levels)", path, p->depth));
    }
    return path;
}

int
stoa__packer_refuse(const stoa_packer *p, PyObject *object, const char *why_and_remedy)
{
    PyObject *path = describe_path(p);
    const char *text = path == NULL ? NULL : PyUnicode_AsUTF8(path);
    if (text == NULL) {
        PyErr_Clear();
        text = p->root;
    }
    stoa__raise_not_freezable(text, Py_TYPE(object)->tp_name, why_and_remedy);
    Py_XDECREF(path);
    return -1;
}

int
stoa__packer_recall(stoa_packer *p, PyObject *object)
{
    bool fresh;
    const stoa_pack_slot *slot = stoa__pack_memo_slot(&p->memo, object, &fresh);
    if (slot == NULL) {
        return -1;
    }
    if (fresh || slot->number == STOA_PACK_BY_PROXY) {
        return 0;
    }
    if (slot->number == STOA_PACK_BEING_MADE) {
        return stoa__packer_refuse(p, object, "it contains itself; immutable containers that do cannot cross");
    }
    return stoa__parcel_write_op(p->parcel, STOA_OP_RECALL, (uint64_t)slot->number) < 0 ? -1 : 1;
}

int
stoa__packer_remember(stoa_packer *p, PyObject *object)
{
    stoa__pack_memo_known(&p->memo, object)->number = p->numbers++;
    return stoa__parcel_write_byte(p->parcel, STOA_OP_REMEMBER);
}

bool
stoa__packer_meets_once(const stoa_packer *p, PyObject *object, unsigned own)
{
    return !p->wary && own != STOA_OWN_UNKNOWN && Py_REFCNT(object) <= own;
}

int
stoa__packer_beware(stoa_packer *p)
{
    p->wary = true;
    return p->skipped ? -1 : 0;
}
