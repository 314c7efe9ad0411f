// Asking the server.

export const ask = async (path, body) => {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The review has ended. Start it again in the terminal: all that was decided is kept.");
  }
  const content = await response.json();
  if (!response.ok) throw new Error(content.error);
  return content;
};
export const pictureAddress = (number, place, version) => `picture?number=${number}&place=${place}&version=${version}`;
