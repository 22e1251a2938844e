/* What a description of functions is made of: for function.c, which writes it, and make_function.c, which reads it. */
#ifndef STOA_IMMORTAL_FUNCTION_PARTS_H
#define STOA_IMMORTAL_FUNCTION_PARTS_H

/* A FUNCTION node is its description, and an IDENTITY node for each of the functions described, for each cell, and for the
 * globals of each function (None: the module there has its own).
 */

/* A description is a tuple (functions, cells). A value in it is two items, what it is and what it takes to have it: */
enum {
    VALUE_ITSELF,   /* the object */
    VALUE_FUNCTION, /* number of a function described here */
    VALUE_GLOBAL,   /* (module, qualname) */
    VALUE_MODULE,   /* name */
    VALUE_EMPTY     /* an empty cell: None */
};

/* A function is a tuple of: */
enum {
    MODULE,
    NAME,
    QUALNAME,
    CODE,          /* marshalled */
    DEFAULTS,      /* values, or None */
    KEYWORD_NAMES, /* and their values */
    KEYWORDS,
    CLOSURE,      /* numbers of cells */
    GLOBAL_NAMES, /* or None: the module there has its own */
    GLOBALS,
    ATTRIBUTE_NAMES, /* of __dict__ */
    ATTRIBUTES,
    ANNOTATION_NAMES, /* those that are classes found by name, or text */
    ANNOTATIONS,
    DOC, /* text, or None */
    FIELDS
};

#endif
