#define _GNU_SOURCE
#include "CTerminal.h"

#include <dlfcn.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

// The part of readline's interface that is used, which libedit has too, declared here so that building needs no headers.
static struct {
    void (*install)(const char *, void (*)(char *));
    void (*read)(void);
    void (*remove)(void);
    void (*remember)(const char *);
    void (*forget)(void);
    void (*prepare)(int);
    void (*release)(void);
    // Missing in some versions.
    void (*resize)(void);
    int (*redraw)(void);
    int (*set)(const char *, const char *);
} editor;

static struct termios settings;
/// Whether the terminal is ours, and what it is otherwise is in `settings`.
static volatile sig_atomic_t is_taken;
static volatile sig_atomic_t is_stopping, is_back, is_resized;

static struct {
    char *line;
    moult_editor_event event;
} arrived;

bool moult_editor_open(const char *library) {
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!handle) return false;
    const struct {
        const char *name;
        void *target;
        bool is_needed;
    } symbols[] = {
        {"rl_callback_handler_install", &editor.install, true},
        {"rl_callback_read_char", &editor.read, true},
        {"rl_callback_handler_remove", &editor.remove, true},
        {"add_history", &editor.remember, true},
        {"clear_history", &editor.forget, true},
        {"rl_prep_terminal", &editor.prepare, true},
        {"rl_deprep_terminal", &editor.release, true},
        {"rl_resize_terminal", &editor.resize, false},
        {"rl_forced_update_display", &editor.redraw, false},
        {"rl_variable_bind", &editor.set, false},
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *found = dlsym(handle, symbols[i].name);
        if (!found && symbols[i].is_needed) {
            dlclose(handle);
            return false;
        }
        memcpy(symbols[i].target, &found, sizeof found);
    }
    // Signals are ours alone: the handlers below, and those of the program.
    for (int i = 0; i < 2; i++) {
        int *flag = dlsym(handle, i ? "rl_catch_sigwinch" : "rl_catch_signals");
        if (flag) *flag = 0;
    }
    const char **name = dlsym(handle, "rl_readline_name");
    if (name) *name = "moult";
    // Text is UTF-8, also where the system has no language set.
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) setlocale(LC_CTYPE, "C.UTF-8");
    if (editor.set) editor.set("enable-bracketed-paste", "on");
    return true;
}

static void take_line(char *line) {
    arrived.line = line;
    arrived.event = line ? MOULT_EDITOR_LINE : MOULT_EDITOR_END;
    // At once, or the prompt would be shown again.
    moult_editor_cancel();
}

static void note_stop(int number) { is_stopping = 1; }
static void note_return(int number) { is_back = 1; }
static void note_size(int number) { is_resized = 1; }

static void quit(int number) {
    moult_editor_restore();
    signal(number, SIG_DFL);
    raise(number);
}

/// Signals that matter only while a line is edited.
static struct {
    int number;
    void (*handler)(int);
    struct sigaction before;
} caught[] = {
    {.number = SIGTSTP, .handler = note_stop},
    {.number = SIGCONT, .handler = note_return},
    {.number = SIGWINCH, .handler = note_size},
    {.number = SIGQUIT, .handler = quit},
};
enum { caught_count = sizeof caught / sizeof *caught };

static void catch_signals(void) {
    for (int i = 0; i < caught_count; i++) {
        struct sigaction action = {.sa_handler = caught[i].handler, .sa_flags = SA_RESTART};
        sigaction(caught[i].number, NULL, &caught[i].before);
        // What was ignored when the program was started stays so.
        if (caught[i].before.sa_handler != SIG_IGN) sigaction(caught[i].number, &action, NULL);
    }
}

static void release_signals(void) {
    for (int i = 0; i < caught_count; i++) sigaction(caught[i].number, &caught[i].before, NULL);
}

void moult_editor_begin(const char *prompt) {
    arrived.line = NULL;
    arrived.event = MOULT_EDITOR_NOTHING;
    is_stopping = is_back = is_resized = 0;
    tcgetattr(STDIN_FILENO, &settings);
    is_taken = 1;
    catch_signals();
    editor.install(prompt, take_line);
}

void moult_editor_cancel(void) {
    if (!is_taken) return;
    editor.remove();
    release_signals();
    is_taken = 0;
}

/// Stops as the system would have, with the terminal as it was.
static void stop(void) {
    struct sigaction standard = {.sa_handler = SIG_DFL}, ours;
    editor.release();
    sigaction(SIGTSTP, &standard, &ours);
    raise(SIGTSTP);
    sigaction(SIGTSTP, &ours, NULL);
    is_stopping = 0;
    is_back = 1;
}

moult_editor_event moult_editor_wait(char **line) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    int ready = is_stopping || is_back || is_resized ? 0 : poll(&input, 1, 200);
    if (is_stopping) stop();
    if (is_back) {
        is_back = 0;
        // Whoever had the terminal meanwhile may have changed it.
        editor.release();
        tcgetattr(STDIN_FILENO, &settings);
        editor.prepare(1);
        if (editor.redraw) editor.redraw();
        return MOULT_EDITOR_NOTHING;
    }
    if (is_resized) {
        is_resized = 0;
        if (editor.resize) editor.resize();
    }
    if (ready <= 0) return MOULT_EDITOR_NOTHING;
    editor.read();
    *line = arrived.line;
    return arrived.event;
}

void moult_editor_remember(const char *line) { editor.remember(line); }
void moult_editor_forget(void) { editor.forget(); }

void moult_editor_restore(void) {
    if (!is_taken) return;
    is_taken = 0;
    // The end of marking what is pasted; terminals that know nothing of it pass it over.
    static const char unmark[] = "\033[?2004l";
    const char *kind = getenv("TERM");
    if (kind && strcmp(kind, "dumb") != 0) (void)!write(STDOUT_FILENO, unmark, sizeof unmark - 1);
    tcsetattr(STDIN_FILENO, TCSANOW, &settings);
}
