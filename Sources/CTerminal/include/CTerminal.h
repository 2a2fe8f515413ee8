#ifndef CTERMINAL_H
#define CTERMINAL_H

#include <stdbool.h>

/// What moult_editor_wait has seen.
typedef enum {
    /// Nothing that ends a line, or a signal.
    MOULT_EDITOR_NOTHING,
    /// A whole line.
    MOULT_EDITOR_LINE,
    /// The end of the input.
    MOULT_EDITOR_END
} moult_editor_event;

/// Loads a library with GNU readline's interface by its file name, such as "libreadline.so.8", for lines that are typed on
/// standard input and shown on standard output. False when there is none. It stays loaded; a process loads one.
bool moult_editor_open(const char *library);

/// Shows `prompt` and takes over the terminal until a line has come or moult_editor_cancel is called.
void moult_editor_begin(const char *prompt);

/// Waits at most a fifth of a second for keys and takes one. A line that is whole is stored in `line`, to be freed by the
/// caller. When the program is stopped (Ctrl-Z) the terminal is given back first, and taken again when it goes on.
moult_editor_event moult_editor_wait(char **line);

/// Gives up the line in hand, and gives the terminal back.
void moult_editor_cancel(void);

/// Adds to the lines that the arrow keys go back to; forgets them all.
void moult_editor_remember(const char *line);
void moult_editor_forget(void);

/// Gives the terminal its settings back, before a signal ends the program. Safe in a signal's handler.
void moult_editor_restore(void);

#endif
