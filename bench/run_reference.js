// Measure one bundled handler in this new process: node run_reference.js BUNDLE EVENTS COUNT.
// It does the same as run_function.py, and prints the same.
const {existsSync, readFileSync} = require('fs');
const {resolve} = require('path');

const [bundle, eventsFile, count] = process.argv.slice(2);
const events = JSON.parse(readFileSync(eventsFile, 'utf8'));
const clock = () => Number(process.hrtime.bigint()) / 1e6;
const processor = () => {
  const {user, system} = process.cpuUsage();
  return (user + system) / 1000;
};

const peakMemoryBytes = () => {
  const status = '/proc/self/status';
  if (!existsSync(status)) return process.resourceUsage().maxRSS * 1024;
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(status, 'utf8'))[1]) * 1024;
};

const measure = async () => {
  const print = process.stdout.write.bind(process.stdout);
  process.stdout.write = () => true; // Discard the handler's log.

  const began = clock();
  const cpuBegan = processor();
  const {handler} = require(resolve(bundle));
  const loaded = clock();
  const cpuLoaded = processor();
  const answers = [await handler(events[0])];
  const answered = clock();
  const cpuAnswered = processor();
  const processMs = performance.timeOrigin + performance.now() - Number(process.env.BENCH_STARTED);
  const warm = [];
  for (let number = 1; number <= Number(count); number++) {
    const start = clock();
    answers.push(await handler(events[number % events.length]));
    warm.push(clock() - start);
  }
  const cpuDone = processor();

  const statuses = {};
  for (const {statusCode} of answers) statuses[statusCode] = (statuses[statusCode] || 0) + 1;
  const result = {
    load_ms: loaded - began,
    first_ms: answered - loaded,
    process_ms: processMs,
    warm_ms: warm,
    cpu_load_ms: cpuLoaded - cpuBegan,
    cpu_first_ms: cpuAnswered - cpuLoaded,
    cpu_warm_ms: (cpuDone - cpuAnswered) / Math.max(1, warm.length),
    peak_memory_bytes: peakMemoryBytes(),
    statuses,
  };
  print(JSON.stringify(result), () => process.exit(0)); // Do not wait for open connections.
};

measure();
