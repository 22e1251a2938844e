/* Proxies and things inside frozen graphs: nodes that hold a handle (immortal/foreign.h, STOA_NODE_HANDLE).
 *
 * What is delivered for one is what arrives for a handle anywhere: this interpreter's one proxy, its wrapper of the thing,
 * or, at home, the object itself. The region holds the handle (heap/held.h): in the default region for good.
 */
#ifndef STOA_PROXY_NODE_H
#define STOA_PROXY_NODE_H

/* Makes the kind known; again is harmless. Any thread. */
void stoa__handle_nodes_ready(void);

#endif
