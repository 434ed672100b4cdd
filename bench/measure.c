/*
 * measure FILE COMMAND...: runs a command and appends one line to FILE:
 *
 *   wall-seconds user-seconds system-seconds peak-resident-KiB exit-status others-seconds
 *
 * The last is the processor time that everything else on the machine took meanwhile,
 * a hypervisor included: what it makes a figure unfit for comparison by.
 *
 * The command runs before everything else on the machine (nice -20), or a build beside
 * it would be measured too.
 *
 * Small on purpose: a child begins as a copy of its parent, and the kernel counts
 * that copy into the child's peak. SIGTERM and SIGINT are passed on to the command,
 * so that a watcher can be ended and is measured all the same.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile pid_t child;

static void pass_on(int number)
{
	if (child > 0)
		kill(child, number);
}

static double seconds(struct timeval time)
{
	return time.tv_sec + time.tv_usec / 1e6;
}

/*
 * Above everything else, where that is allowed. The scheduler weighs sessions before
 * it weighs processes, so this one gets a session of its own.
 */
static void go_first(void)
{
	FILE *file;

	setpriority(PRIO_PROCESS, 0, -20);
	setsid();
	file = fopen("/proc/self/autogroup", "w");
	if (file) {
		fputs("-20", file);
		fclose(file);
	}
}

/* Processor time that all of the machine has used since it started. */
static double busy(void)
{
	unsigned long long user, nice, system, idle, iowait, irq, softirq, steal;
	FILE *file = fopen("/proc/stat", "r");
	int got = file ? fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice,
				&system, &idle, &iowait, &irq, &softirq, &steal) : 0;

	if (file)
		fclose(file);
	if (got != 8)
		return 0;
	return (double)(user + nice + system + irq + softirq + steal) / sysconf(_SC_CLK_TCK);
}

int main(int count, char **arguments)
{
	double before_busy, others;
	struct sigaction action = { .sa_handler = pass_on };
	struct timespec from, to;
	struct rusage used;
	sigset_t passed, before;
	int status;
	FILE *file;

	if (count < 3) {
		fprintf(stderr, "usage: measure FILE COMMAND...\n");
		return 2;
	}
	/* Held back until there is somebody to pass them on to. */
	sigemptyset(&passed);
	sigaddset(&passed, SIGINT);
	sigaddset(&passed, SIGTERM);
	sigprocmask(SIG_BLOCK, &passed, &before);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);

	before_busy = busy();
	clock_gettime(CLOCK_MONOTONIC, &from);
	child = fork();
	if (child < 0) {
		perror("fork");
		return 2;
	}
	if (child == 0) {
		/* A shell's background jobs ignore SIGINT; the command shall not. */
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		sigprocmask(SIG_SETMASK, &before, NULL);
		go_first();
		execvp(arguments[2], arguments + 2);
		perror(arguments[2]);
		_exit(127);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	while (wait4(child, &status, 0, &used) < 0) {
		if (errno != EINTR) {
			perror("wait4");
			return 2;
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	others = busy() - before_busy - seconds(used.ru_utime) - seconds(used.ru_stime);

	status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	file = fopen(arguments[1], "a");
	if (!file) {
		perror(arguments[1]);
		return 2;
	}
	fprintf(file, "%.6f %.6f %.6f %ld %d %.3f\n",
		(to.tv_sec - from.tv_sec) + (to.tv_nsec - from.tv_nsec) / 1e9,
		seconds(used.ru_utime), seconds(used.ru_stime), used.ru_maxrss, status,
		others > 0 ? others : 0);
	return fclose(file) ? 2 : status;
}
