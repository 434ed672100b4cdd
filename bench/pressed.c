/*
 * pressed ROUNDS SECONDS COMMAND...: runs a terminal screen (tracklight top --verbose) in a
 * pseudo-terminal of 80 x 24 and prints what a press of a key costs there, a line each:
 *
 *   WORD median-ms maximum-ms presses
 *
 * The time of a press is from the key's being written until the last byte of the frame that shows
 * something else than before, wherever on the screen but in the two rows that move by themselves.
 * Refreshes go on meanwhile: presses fall into them as they happen to.
 *
 * Then it runs it anew, for SECONDS from the first rows on without a key, and prints the processor
 * time that each of the threads took that are there at the end:
 *
 *   thread NAME cpu-seconds
 *
 * and what the process says of itself on standard error, with what it took from its start to its end:
 *
 *   refreshed rows-refreshed table-read cpu-seconds wall-seconds
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROWS = 24, COLUMNS = 80, FRAME_MS = 5, PATIENCE_MS = 120000, THREADS = 256, MANY = 1000 };

struct cell {
	uint32_t letter, look;
};

static struct cell screen[ROWS][COLUMNS], before[ROWS][COLUMNS];
static unsigned row, column;
static uint32_t look;
static int terminal;
static pid_t child;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what)
{
	fprintf(stderr, "pressed: %s\n", what);
	for (int i = 0; i < ROWS; i++) {
		for (int j = 0; j < COLUMNS; j++)
			fputc(screen[i][j].letter > 31 && screen[i][j].letter < 127 ? (int)screen[i][j].letter : ' ', stderr);
		fputc('\n', stderr);
	}
	if (child > 0)
		kill(child, SIGTERM);
	exit(1);
}

/* What the screen writes: letters, ESC [ row ; column H, ESC [ ... m, ESC [ 2 J, and modes. */
static void take(unsigned char byte)
{
	static char parameters[64];
	static size_t length;
	static int state, following;
	static uint32_t letter;

	if (state == 2) {
		if (byte < 0x40) {
			if (length < sizeof parameters - 1)
				parameters[length++] = (char)byte;
			return;
		}
		parameters[length] = 0;
		state = 0;
		if (byte == 'H') {
			row = column = 1;
			sscanf(parameters, "%u;%u", &row, &column);
			row--, column--;
		} else if (byte == 'm') {
			/* Only told apart from others: what was written since the last reset. */
			if (!strcmp(parameters, "0") || !*parameters)
				look = 0;
			else
				for (char *c = parameters; *c; c++)
					look = look * 31 + (unsigned char)*c;
		} else if (byte == 'J') {
			memset(screen, 0, sizeof screen);
		}
		return;
	}
	if (state == 1) {
		state = byte == '[' ? 2 : 0;
		length = 0;
		return;
	}
	if (byte == 27) {
		state = 1;
		return;
	}
	if (following && (byte & 0xc0) == 0x80) {
		letter = letter << 6 | (byte & 0x3f);
		if (--following)
			return;
	} else if (byte >= 0xc0) {
		following = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
		letter = byte & (0x3f >> following);
		return;
	} else if (byte >= 32) {
		letter = byte;
	} else {
		return;
	}
	if (row < ROWS && column < COLUMNS)
		screen[row][column] = (struct cell){ letter, look };
	column++;
}

/* Takes what is written within so many milliseconds; whether there was something. */
static int heard(int ms)
{
	struct pollfd wait = { terminal, POLLIN, 0 };
	unsigned char bytes[65536];
	ssize_t many;

	if (poll(&wait, 1, ms) <= 0)
		return 0;
	many = read(terminal, bytes, sizeof bytes);
	if (many <= 0)
		fail("the program has ended");
	for (ssize_t i = 0; i < many; i++)
		take(bytes[i]);
	return 1;
}

/* Rows 2 and 3 tell rates and throughput, which move by themselves. */
static int is_other(void)
{
	return memcmp(screen[0], before[0], sizeof screen[0]) || memcmp(screen[3], before[3], (ROWS - 3) * sizeof screen[0]);
}

static int shows(const char *text)
{
	size_t length = strlen(text);

	for (int i = 0; i < ROWS; i++)
		for (size_t j = 0; j + length <= COLUMNS; j++) {
			size_t k = 0;
			while (k < length && screen[i][j + k].letter == (unsigned char)text[k])
				k++;
			if (k == length)
				return 1;
		}
	return 0;
}

static double times[MANY];
static int counted;

/* Presses a key and waits for the frame that answers it. */
static void press(const char *key, int is_counted)
{
	double began, last;

	/* At any moment between two refreshes. */
	double until = now() + 0.02 + drand48() * 0.25;
	while (now() < until)
		heard((int)((until - now()) * 1000) + 1);
	memcpy(before, screen, sizeof screen);
	began = now();
	if (write(terminal, key, strlen(key)) < 0)
		fail("the terminal is closed");
	do {
		if (!heard(100) && now() - began > PATIENCE_MS / 1000.0)
			fail("a key was not answered");
		last = now();
	} while (!is_other());
	while (heard(FRAME_MS))
		last = now();
	if (is_counted && counted < MANY)
		times[counted++] = (last - began) * 1000;
}

static int by_size(const void *a, const void *b)
{
	double one = *(const double *)a, other = *(const double *)b;

	return (one > other) - (one < other);
}

static void tell(const char *word)
{
	qsort(times, counted, sizeof *times, by_size);
	printf("%s %.2f %.2f %d\n", word, times[counted / 2], times[counted - 1], counted);
	fflush(stdout);
	counted = 0;
}

static void wait_for(const char *text, int is_there)
{
	double began = now();

	while (shows(text) != is_there) {
		heard(100);
		if (now() - began > PATIENCE_MS / 1000.0) {
			fprintf(stderr, "pressed: '%s' %s\n", text, is_there ? "did not come" : "did not go");
			fail("waited in vain");
		}
	}
}

struct thread {
	double cpu;
	char name[32];
};

static int threads(struct thread *into)
{
	char path[300];
	struct dirent *entry;
	int many = 0;
	DIR *folder;

	snprintf(path, sizeof path, "/proc/%d/task", child);
	folder = opendir(path);
	while (folder && (entry = readdir(folder)) && many < THREADS) {
		unsigned long long ns;
		FILE *file;
		if (!isdigit((unsigned char)*entry->d_name))
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%s/comm", child, entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fscanf(file, "%31[^\n]", into[many].name) != 1)
			strcpy(into[many].name, "?");
		fclose(file);
		for (char *c = into[many].name; *c; c++)
			if (*c == ' ')
				*c = '-';
		snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", child, entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fscanf(file, "%llu", &ns) == 1)
			into[many++].cpu = ns / 1e9;
		fclose(file);
	}
	if (folder)
		closedir(folder);
	return many;
}

/* Starts the screen; its standard error goes into a pipe, whose other end this gives. */
static int start(char **command)
{
	struct winsize size = { ROWS, COLUMNS, 0, 0 };
	int words[2];

	memset(screen, 0, sizeof screen);
	if (pipe(words))
		fail("no pipe");
	child = forkpty(&terminal, NULL, NULL, &size);
	if (child < 0)
		fail("no pseudo-terminal");
	if (!child) {
		setenv("TERM", "xterm-256color", 1);
		dup2(words[1], STDERR_FILENO);
		close(words[0]);
		close(words[1]);
		execvp(command[0], command);
		_exit(127);
	}
	close(words[1]);
	/* There is nothing to move over before the first rows are there. */
	wait_for("tcp ", 1);
	wait_for(" match", 1);
	return words[0];
}

/* Ends the screen, and gives what it has taken and said; whether it ended well. */
static int end(int words, char *said, size_t size, struct rusage *took)
{
	size_t length = 0;
	ssize_t many;
	int status;

	if (write(terminal, "q", 1) < 0)
		fail("the terminal is closed");
	while (wait4(child, &status, WNOHANG, took) == 0) {
		struct pollfd wait = { terminal, POLLIN, 0 };
		char bytes[4096];
		/* Its last frames; the terminal fails once it is gone. */
		if (poll(&wait, 1, 100) > 0 && read(terminal, bytes, sizeof bytes) < 0)
			usleep(10000);
	}
	child = 0;
	close(terminal);
	while (length < size - 1 && (many = read(words, said + length, size - 1 - length)) > 0)
		length += many;
	said[length] = 0;
	close(words);
	if (status)
		fprintf(stderr, "%s", said);
	return status == 0;
}

/* The number that follows a text: "once", or "1,234 times". */
static long many_after(const char *said, const char *text)
{
	const char *at = strstr(said, text);
	long many = 0;

	if (!at)
		fail("it did not say how often: is --verbose missing?");
	at += strlen(text);
	if (!strncmp(at, "once", 4))
		return 1;
	for (; isdigit((unsigned char)*at) || *at == ','; at++)
		if (*at != ',')
			many = many * 10 + (*at - '0');
	return many;
}

static double seconds_of(struct timeval time)
{
	return time.tv_sec + time.tv_usec / 1e6;
}

/* A run without keys. */
static int quiet(double seconds, char **command)
{
	static struct thread all[THREADS];
	char said[4096];
	struct rusage took;
	double began = now(), until;
	int words = start(command), many;

	until = now() + seconds;
	while (now() < until)
		heard(100);
	many = threads(all);
	for (int i = 0; i < many; i++)
		if (all[i].cpu > 0.001)
			printf("thread %s %.3f\n", all[i].name, all[i].cpu);
	if (!end(words, said, sizeof said, &took))
		return 0;
	printf("refreshed %ld %ld %.3f %.3f\n", many_after(said, "rows refreshed "), many_after(said, "table read "),
	       seconds_of(took.ru_utime) + seconds_of(took.ru_stime), now() - began);
	return 1;
}

int main(int argc, char **argv)
{
	char said[4096];
	struct rusage took;
	int rounds, words;

	if (argc < 4 || (rounds = atoi(argv[1])) <= 0 || rounds > MANY / 2) {
		fputs("pressed ROUNDS SECONDS COMMAND...\n", stderr);
		return 2;
	}
	srand48(1);
	words = start(argv + 3);
	for (int i = 0; i < rounds; i++)
		press(i % 16 < 8 ? "j" : "k", 1);
	tell("movement");
	press("\033[H", 0);
	for (int i = 0; i < rounds; i++)
		press(i % 8 < 4 ? ">" : "<", 1);
	tell("sort");
	for (int i = 0; i < rounds; i++)
		press("r", 1);
	tell("order");
	press("/", 0);
	for (int i = 0; i < rounds; i++) {
		char key[2] = { "dport == 443 and not nat or bytes > 10MB"[i % 40], 0 };
		press(key, 1);
	}
	tell("typing");
	press("\033", 0);
	for (int i = 0; i < rounds; i++) {
		press("g", 1);
		press("t", 1);
	}
	tell("groups");
	for (int i = 0; i < rounds; i++) {
		press("\r", 1);
		press("\033", 1);
	}
	tell("details");
	for (int i = 0; i < rounds; i++)
		press(" ", 1);
	tell("freeze");
	if (!end(words, said, sizeof said, &took))
		return 1;
	return !quiet(atof(argv[2]), argv + 3);
}
