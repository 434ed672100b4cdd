/*
 * pressed ROUNDS SECONDS COMMAND...: runs a terminal screen (tracklight top) in a pseudo-terminal
 * of 80 x 24 and prints what a press of a key costs there, a line each:
 *
 *   WORD median-ms maximum-ms presses
 *
 * The time of a press is from the key's being written until the last byte of the frame that shows
 * something else than before, wherever on the screen but in the two rows that move by themselves.
 * Refreshes go on meanwhile: presses fall into them as they happen to.
 *
 * Then, without a key for SECONDS, the processor time that each kind of thread took:
 *
 *   thread NAME cpu-seconds
 *
 * Linux names threads; what began and ended meanwhile is counted with the process:
 *
 *   process cpu-seconds wall-seconds
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
	long id;
	double cpu;
	char name[32];
};

static double process_cpu(void)
{
	char path[64], text[1024], *at;
	unsigned long user, system;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/stat", child);
	file = fopen(path, "r");
	if (!file || !fgets(text, sizeof text, file))
		fail("the process is gone");
	fclose(file);
	at = strrchr(text, ')');
	if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
		fail("/proc tells no times");
	return (double)(user + system) / sysconf(_SC_CLK_TCK);
}

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
		into[many].id = atol(entry->d_name);
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

static void rest(double seconds)
{
	static struct thread first[THREADS], second[THREADS];
	int had = threads(first), has;
	double cpu = process_cpu(), began = now();

	while (now() - began < seconds)
		heard(100);
	has = threads(second);
	cpu = process_cpu() - cpu;
	for (int i = 0; i < has; i++) {
		double took = second[i].cpu;
		for (int j = 0; j < had; j++)
			if (first[j].id == second[i].id)
				took -= first[j].cpu;
		if (took > 0.001)
			printf("thread %s %.3f\n", second[i].name, took);
	}
	printf("process %.3f %.3f\n", cpu, now() - began);
}

int main(int argc, char **argv)
{
	struct winsize size = { ROWS, COLUMNS, 0, 0 };
	int rounds, status;

	if (argc < 4 || (rounds = atoi(argv[1])) <= 0 || rounds > MANY / 2) {
		fputs("pressed ROUNDS SECONDS COMMAND...\n", stderr);
		return 2;
	}
	child = forkpty(&terminal, NULL, NULL, &size);
	if (child < 0)
		fail("no pseudo-terminal");
	if (!child) {
		setenv("TERM", "xterm-256color", 1);
		execvp(argv[3], argv + 3);
		_exit(127);
	}
	srand48(1);
	/* There is nothing to move over before the first rows are there. */
	wait_for("tcp ", 1);
	wait_for(" match", 1);
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
	if (shows("frozen"))
		press(" ", 0);
	rest(atof(argv[2]));
	if (write(terminal, "q", 1) < 0)
		fail("the terminal is closed");
	while (waitpid(child, &status, WNOHANG) == 0) {
		struct pollfd wait = { terminal, POLLIN, 0 };
		char bytes[4096];
		/* Its last words; the terminal fails once it is gone. */
		if (poll(&wait, 1, 100) > 0 && read(terminal, bytes, sizeof bytes) < 0)
			usleep(10000);
	}
	return status ? 1 : 0;
}
