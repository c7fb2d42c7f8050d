/** Whether the server answers. Told by every call, shown once at the top of the page. */
class Connection {
  online = $state(true);

  answered(): void {
    this.online = true;
  }

  failed(): void {
    this.online = false;
  }
}

export const connection = new Connection();
