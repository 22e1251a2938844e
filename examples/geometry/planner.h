/* The two stages that are Python. */
#ifndef GEOMETRY_PLANNER_H
#define GEOMETRY_PLANNER_H

static const char PLANNER[] =
    "import array, math\n"
    "\n"
    "def numbers(buffer, code):\n"
    "    view = memoryview(buffer)\n"
    "    return view.cast('B').cast(code) if view.nbytes else memoryview(b'').cast(code)\n"
    "\n"
    "def statistics(measures, layers):\n"
    "    'Layer, area and length of its contours, for each layer: three numbers each.'\n"
    "    measures, found = numbers(measures, 'd'), {}\n"
    "    for layer, area, length in zip(numbers(layers, 'i'), measures[0::4], measures[1::4]):\n"
    "        row = found.setdefault(layer, [layer, 0.0, 0.0])\n"
    "        row[1] += area\n"
    "        row[2] += length\n"
    "    return array.array('d', [number for row in found.values() for number in row])\n"
    "\n"
    "def plan(measures, layers):\n"
    "    'Contours in the order in which a tool goes: layer by layer, always to the nearest one.'\n"
    "    measures, on_layer, order, here = numbers(measures, 'd'), {}, array.array('i'), (0.0, 0.0)\n"
    "    places = zip(measures[2::4], measures[3::4])\n"
    "    for contour, (layer, place) in enumerate(zip(numbers(layers, 'i'), places)):\n"
    "        on_layer.setdefault(layer, {})[contour] = place\n"
    "    for left in on_layer.values():\n"
    "        while left:\n"
    "            nearest = min(left, key=lambda contour: math.dist(here, left[contour]))\n"
    "            here = left.pop(nearest)\n"
    "            order.append(nearest)\n"
    "    return order\n"
    "\n"
    "def statistics_bytes(*blocks):\n"
    "    return statistics(*blocks).tobytes()\n"
    "\n"
    "def plan_bytes(*blocks):\n"
    "    return plan(*blocks).tobytes()\n";

#endif
