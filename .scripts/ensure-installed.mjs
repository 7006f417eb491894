/**
 * Runs before every npm script: installs what the lock file says when `node_modules` is missing or says otherwise, so that
 * any script may be the first command after a clone. Runs on the Node that happens to be there (18 or later) and needs
 * nothing but it; the scripts themselves then run on the Node of the lock file.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const LEAST_NODE_MAJOR = 26;
/** What runs without browsers, encoders and other tools of the tests: at the first start, and as media-node/deploy installs it. */
const NEED_NO_DEV_PACKAGES = ['prestart', 'preedge', 'prenode'];
const needsDev = !NEED_NO_DEV_PACKAGES.includes(process.env.npm_lifecycle_event ?? '');
const root = dirname(dirname(fileURLToPath(import.meta.url)));

const outdated = reasonToInstall();
if (outdated !== null) {
  const omitDev = !needsDev && !hasDevPackages();
  // On standard error: the standard output belongs to the script that follows.
  console.error(`Installing dependencies, because ${outdated}. This takes about a minute …`);
  install(omitDev);
  const still = reasonToInstall();
  if (still !== null) fail(`The installation is not usable: ${still}.`);
}

/** Null when all is as the lock file says. */
function reasonToInstall() {
  const installed = readPackages(join(root, 'node_modules', '.package-lock.json'));
  if (installed === null) return 'node_modules is missing or unfinished';
  const locked = readPackages(join(root, 'package-lock.json'));
  if (locked === null) fail('package-lock.json is missing or damaged.');
  for (const [path, entry] of Object.entries(locked)) {
    if (path === '') continue;
    const present = installed[path];
    // An optional package may be one for another operating system.
    const mayLack = entry.optional === true || (entry.dev === true && !needsDev);
    if (present === undefined ? !mayLack : present.version !== entry.version) {
      return `the lock file has ${path.replace(/^.*node_modules\//, '')} ${entry.version}, which is not installed`;
    }
  }
  const version = nodeVersion();
  if (version === null) return 'the Node of the lock file is not installed';
  if (Number(version.split('.')[0]) < LEAST_NODE_MAJOR)
    return `node_modules/.bin/node is ${version}, not ${LEAST_NODE_MAJOR}`;
  return null;
}

/** Who has them keeps them. Who has nothing and only wants to run it waits for a third of the packages. */
function hasDevPackages() {
  const installed = readPackages(join(root, 'node_modules', '.package-lock.json'));
  return installed !== null && Object.values(installed).some((entry) => entry.dev === true);
}

function readPackages(path) {
  try {
    const { packages } = JSON.parse(readFileSync(path, 'utf8'));
    return packages !== null && typeof packages === 'object' ? packages : null;
  } catch {
    return null;
  }
}

/** `26.10.0`; null when there is none. */
function nodeVersion() {
  const asked = spawnSync(join(root, 'node_modules', '.bin', 'node'), ['--version'], {
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  return asked.status === 0 ? asked.stdout.trim().replace(/^v/, '') : null;
}

/** `npm ci` by the npm and the Node that run us: the Node in node_modules is about to be replaced. */
function install(omitDev) {
  const npm = process.env.npm_execpath;
  const node = process.env.npm_node_execpath;
  const options = { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024, stdio: ['ignore', 'pipe', 'pipe'] };
  const args = ['ci', '--no-audit', '--no-fund', '--no-progress', '--loglevel=error'];
  if (omitDev) args.push('--omit=dev');
  const done =
    npm !== undefined && node !== undefined && existsSync(npm)
      ? spawnSync(node, [npm, ...args], options)
      : spawnSync('npm', args, { ...options, shell: process.platform === 'win32' });
  if (done.status === 0) return;
  process.stderr.write(`${done.stdout ?? ''}${done.stderr ?? ''}`);
  fail(`npm ci failed (${done.error?.message ?? done.signal ?? `exit code ${done.status}`}).`);
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
