/** The page. It signs users in and out, keeps their session, and shows one of the tabs. */

import { fromAddress, toAddress } from './address';
import { ChatTab } from './chat-tab';
import { CommentsTab } from './comments-tab';
import { type Config, ConfigError, loadConfig } from './config';
import { byId, element, onSubmit } from './elements';
import { FieldError } from './field-error';
import { IdField } from './id-field';
import { forgetAll } from './memory';
import type { MomentoSession, SessionState } from './momento';
import { PollTab } from './poll-tab';
import { SignIn, SignInError } from './sign-in';
import { type Tab, TabBar } from './tab';

declare global {
  interface Window {
    /** The session, for experiments in the console. Only the local stack has it. */
    session?: MomentoSession | null;
  }
}

type PageState = Exclude<SessionState, 'closed'> | 'signed-out';

const STATE_NAMES: Record<PageState, string> = {
  connecting: 'Connecting…',
  live: 'Live',
  reconnecting: 'Reconnecting…',
  'sign-in-needed': 'Sign in again',
  'signed-out': 'Signed out',
};

const page = {
  state: byId('state'),
  alert: byId('alert'),
  signIn: byId('sign-in'),
  signInForm: byId<HTMLFormElement>('sign-in-form'),
  userName: byId<HTMLInputElement>('user-name'),
  password: byId<HTMLInputElement>('password'),
  sampleUsers: byId('sample-users'),
  room: byId('room'),
  user: byId('user'),
  signOut: byId('sign-out'),
};
const signInError = new FieldError(page.password, byId('sign-in-error'));

let config: Config;
let signIn: SignIn;
let session: MomentoSession | null = null;
let user = '';
let tabs: Tab[] = [];
let tab: Tab;
let tabBar: TabBar;
/** A change of the course, poll or room that the server has not answered yet. */
let change: { readonly tab: Tab } | null = null;

async function open(): Promise<void> {
  try {
    config = await loadConfig();
  } catch (error) {
    showAlert(error instanceof ConfigError ? error.message : String(error));
    return;
  }
  signIn = new SignIn(config);
  tabs = makeTabs(config);
  tab = tabs.find(({ topic }) => topic === fromAddress('tab')) ?? (tabs[0] as Tab);
  const names = tabs.map(({ topic }) => topic);
  tabBar = new TabBar(byId('tabs'), names, (name) =>
    showTab(tabs.find(({ topic }) => topic === name) as Tab),
  );
  tabBar.show(tab.topic);
  showSampleUsers();
  listen();
  if (signIn.username) {
    user = signIn.username;
    startSession();
  } else {
    showView('signed-out');
    // It loads while the user signs in.
    import('./momento').catch(() => {});
  }
}

/** Return a tab for each kind of message that this page is for. */
function makeTabs({ courseId, pollId, room, languages }: Config): Tab[] {
  const made: Tab[] = [];
  const field = (form: string, name: string, initial: string) => {
    const at = made.length;
    return new IdField(byId(form), name, initial, () => changeId(made[at] as Tab));
  };
  if (courseId !== null) {
    made.push(new CommentsTab(field('course-form', 'course', courseId)));
  }
  if (pollId !== null) {
    made.push(new PollTab(field('poll-form', 'poll', pollId)));
  }
  if (room !== null) {
    made.push(new ChatTab(field('room-form', 'room', room), languages));
  }
  return made;
}

function showSampleUsers(): void {
  for (const sample of config.users) {
    const button = element('button', '', sample.username);
    button.type = 'button';
    button.dir = 'auto';
    button.addEventListener('click', () => {
      page.userName.value = sample.username;
      page.password.value = sample.password;
      page.signInForm.requestSubmit();
    });
    page.sampleUsers.append(button);
  }
  page.sampleUsers.hidden = config.users.length === 0;
}

function listen(): void {
  onSubmit(page.signInForm, signInUser);
  page.signInForm.addEventListener('input', () => signInError.clear());
  page.signOut.addEventListener('click', signOut);
  window.addEventListener('offline', () => session?.networkLost());
  window.addEventListener('online', () => session?.wake(true));
  window.addEventListener('pageshow', (event) => event.persisted && session?.wake(true));
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') {
      session?.wake(false);
    }
  });
}

// Signing in and out

async function signInUser(): Promise<void> {
  const name = page.userName.value.trim();
  signInError.clear();
  try {
    await signIn.signIn(name, page.password.value);
  } catch (error) {
    signInError.show(error instanceof SignInError ? error.message : String(error));
    page.password.focus();
    return;
  }
  page.password.value = '';
  clearAlert();
  if (session && name === user) {
    session.signedInAgain();
    return;
  }
  endSession();
  user = name;
  startSession();
}

async function startSession(): Promise<void> {
  showView('connecting');
  showUser(user);
  const asked = user;
  let momento: typeof import('./momento');
  try {
    momento = await import('./momento');
  } catch {
    if (user === asked) {
      signOut();
      showAlert('A part of this page could not be loaded. Try again.');
    }
    return;
  }
  if (user !== asked || session) {
    // The user has signed out meanwhile, and perhaps in again.
    return;
  }
  const started = new momento.MomentoSession({
    tokenUrl: config.tokenUrl,
    momentoEndpoint: config.momentoEndpoint,
    tokenRequest: tokenRequest(),
    identity: (isRefused) => signIn.idToken(isRefused),
    onState: (state) => session === started && showState(state),
    onToken: (token) => session === started && showUser(token.tokenId),
    onProblem: (message, isFinal) => session === started && showProblem(message, isFinal),
  });
  session = started;
  if (config.users.length > 0) {
    window.session = started;
  }
  for (const one of tabs) {
    one.restore();
  }
  tab.open(started);
  tab.field.writeAddress();
  started.start();
}

function endSession(): void {
  if (session) {
    tab.close();
    session.close();
  }
  session = null;
  change = null;
  window.session = null;
  for (const one of tabs) {
    one.forget();
  }
  showUser('');
}

function signOut(): void {
  signIn.signOut();
  endSession();
  forgetAll();
  user = '';
  page.userName.value = '';
  page.password.value = '';
  clearAlert();
  signInError.clear();
  showView('signed-out');
}

// What the session tells

function showState(state: SessionState): void {
  if (state === 'closed') {
    return;
  }
  if (state === 'live') {
    clearAlert();
    tab.refresh();
  }
  showView(state);
}

function showProblem(message: string, isFinal: boolean): void {
  const about = change?.tab ?? tab;
  if (isFinal) {
    about.field.error.show(message);
  } else if (change) {
    about.field.error.show(`${message} Trying again…`);
  } else if (session?.state !== 'live' && navigator.onLine) {
    showAlert(`${message} Trying again…`);
  }
}

// What the user wants

function showTab(wanted: Tab): void {
  if (session) {
    tab.close();
    wanted.open(session);
  }
  tab = wanted;
  tabBar.show(tab.topic);
  toAddress('tab', tab.topic);
  tab.field.writeAddress();
}

/** Show the course, poll or room that the user has entered, if the server permits it. */
async function changeId(changed: Tab): Promise<void> {
  if (!session) {
    changed.field.keep();
    return;
  }
  const asked = session;
  const started = { tab: changed };
  change = started;
  changed.close();
  let isPermitted = true;
  try {
    await asked.setTokenRequest(tokenRequest());
  } catch {
    // The session has told the user why.
    isPermitted = false;
  }
  if (change !== started) {
    // The user has asked for something else meanwhile, or has signed out.
    return;
  }
  change = null;
  for (const { field } of tabs) {
    isPermitted ? field.keep() : field.revert();
  }
  tab.close();
  tab.open(asked);
}

/** Return the request for a token that permits reading what the tabs show. */
function tokenRequest(): unknown {
  return { reads: Object.fromEntries(tabs.map(({ topic, field }) => [topic, [field.value]])) };
}

// The elements

function showView(state: PageState): void {
  page.state.dataset.state = state;
  if (page.state.textContent !== STATE_NAMES[state]) {
    page.state.textContent = STATE_NAMES[state];
  }
  const isSignedOut = state === 'signed-out' || state === 'sign-in-needed';
  if (page.signIn.hidden !== isSignedOut && page.room.hidden === isSignedOut) {
    return;
  }
  page.signIn.hidden = !isSignedOut;
  page.room.hidden = isSignedOut;
  if (state === 'sign-in-needed') {
    page.userName.value = user;
    page.password.focus();
  } else if (isSignedOut) {
    page.userName.focus();
  } else {
    tab.focus();
  }
}

function showUser(name: string): void {
  page.user.textContent = name;
}

function showAlert(message: string): void {
  page.alert.textContent = message;
}

function clearAlert(): void {
  page.alert.textContent = '';
}

open();
