#!/bin/sh
# tools/rooms.sh - checks #include lines against rooms.txt.
#
# A room may include its own headers, and the doors (ROOM/ROOM.h) of the rooms
# its row lists.  `public:` names the few other headers that belong to a door.
# A row may list only rooms above it, so rooms cannot depend in a circle.
# SPDX-License-Identifier: Apache-2.0
set -u
cd "$(dirname "$0")/.."

find src include -name '*.[ch]' | sort | awk '
function normal(path,    part, n, i, out, top) {
    n = split(path, part, "/")
    top = 0
    for (i = 1; i <= n; i++) {
        if (part[i] == "." || part[i] == "") continue
        if (part[i] == ".." && top > 0) { top--; continue }
        out[++top] = part[i]
    }
    path = out[1]
    for (i = 2; i <= top; i++) path = path "/" out[i]
    return path
}
function folder(path) { sub(/\/[^\/]*$/, "", path); return path }
function complain(text) { print text; bad++ }
function check(file, line, inc,    room, target, other, dir) {
    room = file; sub(/^src\//, "", room); sub(/\/.*/, "", room)
    dir = folder(file)
    target = normal(dir "/" inc)
    if (!(target in exists)) target = normal("src/" room "/" inc)
    if (!(target in exists)) target = normal("include/" inc)
    if (!(target in exists)) { complain(file ":" line ": includes \"" inc "\", which does not exist"); return }
    edges++
    if (target ~ /^include\//) {
        if (room != "api" && room != "cli") complain(file ":" line ": only api and cli include the public header")
        return
    }
    other = target; sub(/^src\//, "", other); sub(/\/.*/, "", other)
    if (other == room) return
    if (target != "src/" other "/" other ".h" && !(target in public))
        complain(file ":" line ": includes " target ", which is not a door")
    else if (!((room, other) in may) && !((room, "*") in may))
        complain(file ":" line ": room " room " may not include the door of " other " (rooms.txt)")
}
BEGIN {
    while ((getline row < "rooms.txt") > 0) {
        sub(/#.*/, "", row)
        if (row !~ /:/) continue
        name = row; sub(/:.*/, "", name)
        sub(/^[^:]*:/, "", row)
        n = split(row, word, " ")
        if (name == "public") {
            for (i = 1; i <= n; i++) public["src/" word[i]] = 1
            continue
        }
        for (i = 1; i <= n; i++) {
            may[name, word[i]] = 1
            if (word[i] != "*" && !(word[i] in known))
                complain("rooms.txt: " name " lists " word[i] ", which is not a room above it")
        }
        known[name] = 1
    }
}
{ exists[$0] = 1; order[++count] = $0 }
END {
    for (f = 1; f <= count; f++) {
        file = order[f]
        if (file !~ /^src\//) continue
        room = file; sub(/^src\//, "", room); sub(/\/.*/, "", room)
        if (!(room in known) && !(room in told)) { told[room] = 1; complain(file ": room " room " has no row in rooms.txt") }
        line = 0
        while ((getline text < file) > 0) {
            line++
            if (text ~ /^[ \t]*#[ \t]*include[ \t]*"/) {
                sub(/^[^"]*"/, "", text); sub(/".*/, "", text)
                check(file, line, text)
            }
        }
        close(file)
    }
    if (bad) { printf "rooms: %d broken rules\n", bad; exit 1 }
    printf "rooms: %d files, %d includes, all through doors\n", count, edges
}'
