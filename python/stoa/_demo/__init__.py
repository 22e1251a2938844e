"""The main job: a full-text index of a source tree, built once, served by several interpreters from one copy.

    scan      which files, and which are left out and why
    words     the tokeniser: one interpreter turns its share of the files into a part (runs in every builder)
    index     the shape of the index, merging the parts, answering queries
    queries   the workload: what is asked
    serve     what runs inside a serving interpreter, whichever way it got the index
    shared    child process: build, publish, serve from the one copy
    private   child process: the same queries, each interpreter with a copy of its own
    measure   memory of a process, time
    job       the parent: starts the children, shows progress, puts the results together
    terminal  table and bars for the terminal
    charts    the same as SVG
    report    the HTML page around them
"""
