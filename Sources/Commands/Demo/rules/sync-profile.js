// Asks for a token on every login, calls back at once, and goes on working afterwards.
function syncProfile(user, context, callback) {
    const axios = require('axios@0.19.2');

    const tokenRequest = {
        grant_type: 'client_credentials',
        client_id: configuration.RULE_APP_CLIENT_ID,
        client_secret: configuration.RULE_APP_CLIENT_SECRET,
        audience: configuration.PROFILE_AUDIENCE,
    };
    axios({
        method: 'POST',
        url: `https://${auth0.domain}/oauth/token`,
        headers: { 'content-type': 'application/json' },
        data: JSON.stringify(tokenRequest),
        timeout: 5000,
    })
        .then((token) => axios.get(`${configuration.PROFILE_API}/profiles/${encodeURIComponent(user.user_id)}`, {
            headers: { Authorization: `Bearer ${token.data.access_token}` },
            timeout: 5000,
        }))
        .then((profile) => auth0.users.updateAppMetadata(user.user_id, { plan: profile.data.plan }))
        .catch((problem) => console.log('profile sync failed:', problem.message));

    return callback(null, user, context);
}
