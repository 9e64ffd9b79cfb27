/** Comments on a course: `{"courseId", "comment", "id"}` on topic `comment`, stored in the list `<courseId>`. */

import { SAMPLE_ID } from './composer';
import { parseObject } from './elements';
import type { IdField } from './id-field';
import type { Message } from './message-list';
import { MessagesTab } from './messages-tab';
import type { TopicMessage } from './momento';
import { bytesOf, MESSAGE_BYTES } from './momento/limits';

/** A longer id is refused by the webhook. */
const LONGEST_ID = 64;

export class CommentsTab extends MessagesTab {
  constructor(field: IdField) {
    super(field, {
      topic: 'comment',
      noun: 'comment',
      textWhenEmpty: 'Nobody has commented on this course yet.',
      maxBytes: MESSAGE_BYTES,
      marksStored: true,
    });
  }

  protected override get source() {
    return { topic: this.topic, list: this.field.value };
  }

  /** A course that looks like a number is published as one. */
  protected override toMessage(comment: string, id: string): string {
    const courseId = this.field.value;
    const number = Number(courseId);
    const isNumber = Number.isSafeInteger(number) && String(number) === courseId;
    return JSON.stringify({ courseId: isNumber ? number : courseId, comment, id });
  }

  protected override bytesOf(text: string): number {
    return bytesOf(this.toMessage(text, SAMPLE_ID));
  }

  protected override fromTopic({ publisher, text, position, age }: TopicMessage): Message | null {
    const { courseId, comment, id: givenId } = parseObject(text);
    if (String(courseId) !== this.field.value || typeof comment !== 'string') {
      return null;
    }
    const id = typeof givenId === 'string' && givenId !== '' && givenId.length <= LONGEST_ID ? givenId : null;
    return {
      author: publisher,
      text: comment,
      id,
      ...(id === null && { idEnding: `-${position.number}` }),
      // What was missed gets the time that is stored with it.
      at: age === 'new' ? Date.now() : null,
    };
  }

  protected override fromStored(entry: string): Message | null {
    const { userID, comment, id, publishedAt } = parseObject(entry);
    return typeof userID === 'string' &&
      typeof comment === 'string' &&
      typeof id === 'string' &&
      typeof publishedAt === 'number'
      ? { author: userID, text: comment, id, at: publishedAt }
      : null;
  }
}
