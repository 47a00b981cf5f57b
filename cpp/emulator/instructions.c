/* A plugin for qemu's user-mode emulators that counts instructions between marks.
 *
 *   qemu-aarch64 -plugin file=instructions.so,out=PATH PROGRAM
 *
 * The program sets a mark by the system call prctl(0x4c5453, n, ...), which does nothing. Each mark appends a line to
 * the file PATH, which is emptied at the start:
 *
 *   {"mark": 1, "instructions": 1234567, "threads": 1}
 *
 * instructions: number executed since the program was started. Each is counted when it is executed, not block by block,
 * so that of a block which is left in its middle (by a fault, or to run an atomic operation alone) only the executed
 * part counts.
 * threads: number started so far. The counter is exact for one thread; several would race for it.
 *
 * Uses qemu's plugin interface, version 1 (qemu 4.2 to 8.2). Distributions ship no header for it, so its functions are
 * declared here.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

/* The beginning of qemu_info_t; the rest is about whole systems. */
struct qemu_info {
  const char* target_name;
  struct {
    int min;
    int cur;
  } version;
  bool system_emulation;
};

enum { QEMU_PLUGIN_INLINE_ADD_U64 = 0 };

typedef void (*tb_trans_callback)(qemu_plugin_id_t id, struct qemu_plugin_tb* block);
typedef void (*vcpu_callback)(qemu_plugin_id_t id, unsigned int vcpu);
typedef void (*syscall_callback)(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t a1, uint64_t a2,
                                 uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_trans_callback callback);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* block);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb* block, size_t index);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn* instruction, int operation, void* counter,
                                                uint64_t immediate);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t id, syscall_callback callback);
void qemu_plugin_register_vcpu_init_cb(qemu_plugin_id_t id, vcpu_callback callback);

EXPORTED int qemu_plugin_version = 1;
EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info* info, int argc, char** argv);

static const uint64_t mark_option = 0x4c5453; /* "LTS": no option of prctl has this number */

static uint64_t instructions;
static unsigned int threads;
static int64_t prctl_number;
static char out[4096];

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb* block) {
  (void)id;
  const size_t n = qemu_plugin_tb_n_insns(block);
  for (size_t i = 0; i < n; ++i) {
    qemu_plugin_register_vcpu_insn_exec_inline(qemu_plugin_tb_get_insn(block, i), QEMU_PLUGIN_INLINE_ADD_U64,
                                               &instructions, 1);
  }
}

static void started(qemu_plugin_id_t id, unsigned int vcpu) {
  (void)id;
  (void)vcpu;
  __atomic_fetch_add(&threads, 1, __ATOMIC_RELAXED);
}

/* The file is opened for every mark, since the program shares the emulator's file descriptors and may close them. */
static bool append(const char* text, int flags) {
  const int file = open(out, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
  if (file < 0) {
    return false;
  }
  const ssize_t length = (ssize_t)strlen(text);
  const bool written = write(file, text, (size_t)length) == length;
  return close(file) == 0 && written;
}

static void called(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3,
                   uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
  (void)id, (void)vcpu, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (number != prctl_number || a1 != mark_option) {
    return;
  }
  char line[128];
  snprintf(line, sizeof line, "{\"mark\": %" PRIu64 ", \"instructions\": %" PRIu64 ", \"threads\": %u}\n", a2,
           instructions, __atomic_load_n(&threads, __ATOMIC_RELAXED));
  if (!append(line, O_APPEND)) {
    fprintf(stderr, "instructions: cannot write %s\n", out);
  }
}

/* The number of the system call prctl, -1 for a processor that is not known here. */
static int64_t prctl_of(const char* target) {
  static const struct {
    const char* target;
    int64_t number;
  } numbers[] = {{"aarch64", 167}, {"arm", 172}, {"i386", 172}, {"riscv64", 167}, {"x86_64", 157}};
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; ++i) {
    if (strcmp(target, numbers[i].target) == 0) {
      return numbers[i].number;
    }
  }
  return -1;
}

/* qemu ends when this gives anything but 0. */
int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info* info, int argc, char** argv) {
  for (int i = 0; i < argc; ++i) {
    if (strncmp(argv[i], "out=", 4) == 0) {
      snprintf(out, sizeof out, "%s", argv[i] + 4);
    }
  }
  prctl_number = prctl_of(info->target_name);
  if (prctl_number < 0) {
    fprintf(stderr, "instructions: the system calls of %s are not known\n", info->target_name);
    return 1;
  }
  if (!append("", O_TRUNC)) {
    fprintf(stderr, "instructions: cannot write '%s'; expected out=PATH\n", out);
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_vcpu_init_cb(id, started);
  qemu_plugin_register_vcpu_syscall_cb(id, called);
  return 0;
}
