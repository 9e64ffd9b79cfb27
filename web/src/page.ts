/** The page: shows what the session tells, and asks it for what the user wants. */

import { fromMessage, keyOf, type StoredComment, toMessage } from './comments';
import { type Config, ConfigError, loadConfig } from './config';
import type {
  MessageAge,
  MomentoError,
  MomentoSession,
  MomentoToken,
  SessionState,
  TopicMessage,
} from './momento';
import { SignIn, SignInError } from './sign-in';
import { type Arrival, isStored, StoredComments } from './stored-comments';

declare global {
  interface Window {
    /** The session, for trying things out; only with the local stack. */
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

const LIVE_COMMENTS_KEPT = 200;
/** A repeat comes soon after the first, or when a stream is resumed. */
const KEYS_REMEMBERED = 1000;

const byId = <Element extends HTMLElement>(id: string) => document.getElementById(id) as Element;

const page = {
  state: byId('state'),
  alert: byId('alert'),
  signIn: byId('sign-in'),
  signInForm: byId<HTMLFormElement>('sign-in-form'),
  userName: byId<HTMLInputElement>('user-name'),
  password: byId<HTMLInputElement>('password'),
  sampleUsers: byId('sample-users'),
  room: byId('room'),
  tokenId: byId('token-id'),
  expiry: byId<HTMLTimeElement>('expiry'),
  courseForm: byId<HTMLFormElement>('course-form'),
  course: byId<HTMLInputElement>('course'),
  signOut: byId('sign-out'),
  commentForm: byId<HTMLFormElement>('comment-form'),
  comment: byId<HTMLInputElement>('comment'),
  note: byId('note'),
  live: byId('live'),
  liveEmpty: byId('live-empty'),
  stored: byId('stored'),
  storedEmpty: byId('stored-empty'),
};

/** A comment that came by the subscription, with its item for the live list. */
interface Arrived extends Arrival {
  readonly courseId: string;
  readonly item: HTMLLIElement;
  /** One of `unknown` age is shown once it is known not to be among the comments that were stored before it came. */
  age: MessageAge;
}

/** A comment that the user has asked to publish. Asked for again, it is published with the same id. */
interface Publication {
  readonly courseId: string;
  readonly comment: string;
  readonly id: string;
}

/** What an alert is about, so that it goes when that is over. */
type AlertTopic = 'page' | 'sign-in' | 'connection' | 'course' | 'publish';

let config: Config;
let signIn: SignIn;
let session: MomentoSession | null = null;
let user = '';
let course = '';
/** The course that the session's token is for; `course` while no change is under way. */
let courseInUse = '';
let courseChange: Promise<void> | null = null;
/** The newest first, of all courses. */
let arrived: Arrived[] = [];
let seenKeys: string[] = [];
/** The last comment that was to be published, until it is known to be out. */
let publication: Publication | null = null;
let alertTopic: AlertTopic | null = null;
/** The note about a gap, until the stored comments have been read again. */
let gapNote = '';
let noteTimer: ReturnType<typeof setTimeout> | undefined;

const stored = new StoredComments({
  read: (courseId) => session?.readList(courseId) ?? Promise.resolve([]),
  show: (comments) => {
    page.stored.replaceChildren(
      ...comments.map(({ userID, comment, publishedAt }) => commentItem(userID, comment, publishedAt)),
    );
    page.storedEmpty.hidden = comments.length > 0;
    page.storedEmpty.textContent = 'Nothing is stored for this course yet.';
    showGapNote();
    compareWithStored(comments);
  },
  showFailure: () => {
    compareWithStored([]);
    page.storedEmpty.hidden = false;
    page.storedEmpty.textContent = 'The stored comments cannot be read at the moment. Trying again…';
  },
});

async function open(): Promise<void> {
  try {
    config = await loadConfig();
  } catch (error) {
    showAlert('page', error instanceof ConfigError ? error.message : String(error));
    return;
  }
  signIn = new SignIn(config);
  course = config.courseId;
  page.course.value = course;
  for (const sample of config.users) {
    const button = document.createElement('button');
    button.type = 'button';
    button.dir = 'auto';
    button.textContent = sample.username;
    button.addEventListener('click', () => {
      page.userName.value = sample.username;
      page.password.value = sample.password;
      page.signInForm.requestSubmit();
    });
    page.sampleUsers.append(button);
  }
  page.sampleUsers.hidden = config.users.length === 0;
  listen();
  showView('signed-out');
  // Fetched while the user signs in.
  import('./momento').catch(() => {});
}

function listen(): void {
  onSubmit(page.signInForm, signInUser);
  onSubmit(page.commentForm, publish);
  onSubmit(page.courseForm, changeCourse);
  page.course.addEventListener('change', changeCourse);
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

/** Runs `action` on submit, unless it is still running from the last time. */
function onSubmit(form: HTMLFormElement, action: () => Promise<void>): void {
  const button = form.querySelector('button');
  let isBusy = false;
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (isBusy) {
      return;
    }
    isBusy = true;
    button?.setAttribute('aria-disabled', 'true');
    try {
      await action();
    } finally {
      isBusy = false;
      button?.removeAttribute('aria-disabled');
    }
  });
}

// Signing in and out

async function signInUser(): Promise<void> {
  const name = page.userName.value.trim();
  try {
    await signIn.signIn(name, page.password.value);
  } catch (error) {
    showAlert('sign-in', error instanceof SignInError ? error.message : String(error));
    page.password.focus();
    return;
  }
  page.password.value = '';
  clearAlert();
  if (session && name === user) {
    session.signedInAgain();
    stored.refresh();
    return;
  }
  endSession();
  user = name;
  startSession();
}

async function startSession(): Promise<void> {
  showView('connecting');
  const asked = user;
  let momento: typeof import('./momento');
  try {
    momento = await import('./momento');
  } catch {
    if (user === asked) {
      signOut();
      showAlert('page', 'A part of this page could not be loaded. Try again.');
    }
    return;
  }
  if (user !== asked || session) {
    // Signed out, and perhaps in again, in the meantime.
    return;
  }
  const started = new momento.MomentoSession({
    tokenUrl: config.tokenUrl,
    momentoEndpoint: config.momentoEndpoint,
    courseIds: [course],
    identity: (isRefused) => signIn.idToken(isRefused),
    onState: (state) => session === started && showState(state),
    onToken: (token) => session === started && showToken(token),
    onMessage: (message) => session === started && showMessage(message),
    onGap: (missed) => session === started && showGap(missed),
    onProblem: (message, isFinal) => {
      if (isFinal) {
        showAlert('course', message);
      } else if (session?.state !== 'live') {
        // What has become of the user's own comment is more important, and so is it that the device is offline.
        if (alertTopic !== 'publish' && navigator.onLine) {
          showAlert('connection', `${message} Trying again…`);
        }
      } else if (courseChange) {
        showAlert('course', `${message} Trying again…`);
      }
    },
  });
  session = started;
  courseInUse = course;
  if (config.users.length > 0) {
    window.session = started;
  }
  started.start();
  stored.open(course);
}

function endSession(): void {
  stored.close();
  session?.close();
  session = null;
  courseChange = null;
  if (window.session) {
    window.session = null;
  }
  arrived = [];
  seenKeys = [];
  publication = null;
  page.live.replaceChildren();
  page.stored.replaceChildren();
  page.liveEmpty.hidden = false;
  page.storedEmpty.hidden = false;
  page.storedEmpty.textContent = 'Reading…';
  page.tokenId.textContent = '';
  page.expiry.textContent = '';
  page.expiry.removeAttribute('datetime');
  page.comment.value = '';
  gapNote = '';
  hideNote();
}

function signOut(): void {
  signIn.signOut();
  endSession();
  user = '';
  page.userName.value = '';
  page.password.value = '';
  clearAlert();
  showView('signed-out');
}

// What the session tells

function showState(state: SessionState): void {
  if (state === 'closed') {
    return;
  }
  if (state === 'live') {
    clearAlert('connection');
    stored.refresh();
  }
  showView(state);
}

function showToken(token: MomentoToken): void {
  const until = new Date(token.expiresAt * 1000);
  page.tokenId.textContent = token.tokenId;
  page.expiry.dateTime = until.toISOString();
  page.expiry.textContent = until.toLocaleTimeString([], { timeStyle: 'medium' });
}

function showMessage({ publisher, text, position, age }: TopicMessage): void {
  const live = text === null ? null : fromMessage(text);
  if (!live || isRepeat(publisher, live.id)) {
    return;
  }
  const item = commentItem(publisher, live.comment, age === 'new' ? Date.now() : null);
  const arrival: Arrived = { ...live, publisher, sequenceNumber: position.number, age, item };
  const isOwn = publication !== null && live.id === publication.id && publisher === session?.token?.tokenId;
  if (isOwn) {
    showPublished();
  }
  if (age === 'new') {
    item.className = 'new';
  } else if (isOwn) {
    arrival.age = 'missed';
  }
  arrived = [arrival, ...arrived].slice(0, LIVE_COMMENTS_KEPT);
  if (arrival.courseId !== course) {
    return;
  }
  if (arrival.age !== 'unknown') {
    page.live.prepend(item);
    if (page.live.childElementCount > LIVE_COMMENTS_KEPT) {
      page.live.lastElementChild?.remove();
    }
    page.liveEmpty.hidden = true;
  } else if (stored.lastRead) {
    compareWithStored(stored.lastRead);
  }
  stored.await(arrival);
}

/** Return whether a comment has come before: published again with the same id, because an answer was lost. */
function isRepeat(publisher: string, id: string | null): boolean {
  if (id === null) {
    return false;
  }
  const key = keyOf(publisher, id);
  if (seenKeys.includes(key)) {
    return true;
  }
  seenKeys = [key, ...seenKeys].slice(0, KEYS_REMEMBERED);
  return false;
}

/**
 * Give the comments that did not come the moment they were published the time that is stored with them. One
 * of unknown age that is stored already is old news, and does not become part of the live list.
 */
function compareWithStored(comments: readonly StoredComment[]): void {
  arrived = arrived.filter((arrival) => {
    if (arrival.courseId !== course || arrival.age === 'new') {
      return true;
    }
    const entry = comments.find((comment) => isStored(arrival, comment));
    if (arrival.age === 'unknown') {
      if (entry) {
        return false;
      }
      arrival.age = 'missed';
      // Nothing has arrived before it.
      page.live.append(arrival.item);
      page.liveEmpty.hidden = true;
    }
    if (entry) {
      showTime(arrival.item, entry.publishedAt);
    }
    return true;
  });
}

function showGap(missed: number | null): void {
  const what = missed === null ? 'Some comments' : missed === 1 ? 'One comment' : `${missed} comments`;
  gapNote = `${what} may not have arrived here live. The stored comments have been read again.`;
  stored.refresh();
}

function showGapNote(): void {
  if (!gapNote) {
    return;
  }
  page.note.textContent = gapNote;
  page.note.hidden = false;
  gapNote = '';
  clearTimeout(noteTimer);
  noteTimer = setTimeout(hideNote, 60_000);
}

function hideNote(): void {
  clearTimeout(noteTimer);
  page.note.hidden = true;
  page.note.textContent = '';
}

// What the user wants

async function changeCourse(): Promise<void> {
  const wanted = page.course.value.trim();
  if (!wanted || wanted === course || !session) {
    page.course.value = course;
    return;
  }
  showCourse(wanted);
  stored.close();
  const change = session.setCourses([wanted]);
  courseChange = change;
  const isDone = await change.then(
    () => true,
    () => false, // Told by the session.
  );
  if (courseChange !== change) {
    // Another course has been asked for in the meantime, or the user has signed out.
    return;
  }
  courseChange = null;
  if (isDone) {
    courseInUse = wanted;
    clearAlert();
  } else {
    showCourse(courseInUse);
  }
  stored.open(course);
}

function showCourse(courseId: string): void {
  course = courseId;
  page.course.value = courseId;
  const items = arrived
    .filter((one) => one.courseId === courseId && one.age !== 'unknown')
    .map((one) => one.item);
  page.live.replaceChildren(...items);
  page.liveEmpty.hidden = items.length > 0;
  page.stored.replaceChildren();
  page.storedEmpty.hidden = false;
  page.storedEmpty.textContent = 'Reading…';
}

async function publish(): Promise<void> {
  const comment = page.comment.value.trim();
  if (!comment || !session) {
    return;
  }
  const asked = session;
  if (publication?.comment !== comment || publication.courseId !== course) {
    publication = { courseId: course, comment, id: crypto.randomUUID() };
  }
  const { id } = publication;
  try {
    await asked.publish(toMessage(course, comment, id));
    if (publication?.id === id) {
      showPublished();
    }
  } catch (error) {
    // Unless it has arrived all the same, or the user has signed out in the meantime.
    if (publication?.id === id) {
      showAlert('publish', refusal(error as MomentoError));
    }
  }
  page.comment.focus();
}

/** The comment is out, whether Momento has answered or it has come back by the subscription. */
function showPublished(): void {
  // Unless the next one is being typed already.
  if (page.comment.value.trim() === publication?.comment) {
    page.comment.value = '';
  }
  publication = null;
  clearAlert();
}

function refusal({ code, message }: MomentoError): string {
  if (!navigator.onLine) {
    return 'Not published: this device is offline. The comment is still in its field.';
  }
  switch (code) {
    case 'TOO_LARGE':
      return 'Not published: the comment is too long. A message is 4 KB at most.';
    case 'PERMISSION_ERROR':
      return 'Not published: your token does not permit it.';
    case 'LIMIT_EXCEEDED_ERROR':
      return 'Not published: too many messages at the moment. Try again.';
    case 'SERVER_UNAVAILABLE':
      return 'Momento cannot be reached at the moment, so the comment is probably not out. Publish it again: it will appear once.';
    case 'TIMEOUT_ERROR':
    case 'CANCELLED_ERROR':
    case 'INTERNAL_SERVER_ERROR':
    case 'UNKNOWN_SERVICE_ERROR':
      return 'Momento did not answer, so nobody knows whether the comment is out. Publish it again: it will appear once.';
    default:
      return `Not published: ${message}`;
  }
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
    page.comment.focus();
  }
}

/**
 * Return an item of a list of comments. What others wrote is set as text, never as HTML, and in an element of its own
 * with its own direction, so that a right-to-left script moves nothing around it. `at` is null where no time is known.
 */
function commentItem(publisher: string, comment: string, at: number | null): HTMLLIElement {
  const item = document.createElement('li');
  const byline = document.createElement('p');
  byline.className = 'byline';
  const name = document.createElement('bdi');
  name.textContent = publisher || 'Without a name';
  const author = document.createElement('strong');
  author.append(name);
  byline.append(author, document.createElement('time'));
  const text = document.createElement('p');
  text.className = 'text';
  text.dir = 'auto';
  text.textContent = comment;
  item.append(byline, text);
  if (at !== null) {
    showTime(item, at);
  }
  return item;
}

function showTime(item: HTMLLIElement, at: number): void {
  const time = item.querySelector('time');
  const date = new Date(at);
  if (!time || Number.isNaN(date.getTime())) {
    return;
  }
  time.dateTime = date.toISOString();
  const isToday = date.toDateString() === new Date().toDateString();
  time.textContent = date.toLocaleString([], {
    timeStyle: 'short',
    ...(isToday ? {} : { dateStyle: 'medium' }),
  });
}

function showAlert(topic: AlertTopic, message: string): void {
  alertTopic = topic;
  page.alert.hidden = false;
  page.alert.textContent = message;
}

/** Hides the alert, if it is about `topic`; without one, whatever it is about. */
function clearAlert(topic: AlertTopic | null = alertTopic): void {
  if (topic === alertTopic) {
    alertTopic = null;
    page.alert.hidden = true;
    page.alert.textContent = '';
  }
}

open();
