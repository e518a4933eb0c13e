//! What carries commands: fred, or in a simulation a server that is no more than a value.

use fred::clients::WithOptions;
use fred::error::Error;
use fred::prelude::{
    Client, ClientLike, Expiration, HashesInterface, KeysInterface, LuaInterface, PubsubInterface,
};
use fred::types::{ClusterHash, CustomCommand, FromValue, InfoKind, SetOptions};
#[cfg(test)]
use {
    super::simulated::{Line, spoken},
    std::sync::Arc,
};

use bytes::Bytes;

/// The commands that this crate sends, each by its name in Redis. A simulated server is sent the same
/// words as a real one.
pub enum Wire {
    /// A client of a real server.
    Fred(WithOptions<Client>),
    /// The line to a simulated one.
    #[cfg(test)]
    Simulated(Arc<dyn Line>),
}

impl Wire {
    pub async fn ping(&self) -> Result<(), Error> {
        match self {
            Wire::Fred(client) => client.ping(None).await,
            #[cfg(test)]
            Wire::Simulated(line) => spoken(line, "PING", [], []).await,
        }
    }

    /// `TIME`: seconds and microseconds.
    pub async fn time(&self) -> Result<Vec<String>, Error> {
        match self {
            Wire::Fred(client) => {
                let time = CustomCommand::new_static("TIME", ClusterHash::FirstKey, false);
                client.custom(time, Vec::<String>::new()).await
            }
            #[cfg(test)]
            Wire::Simulated(line) => spoken(line, "TIME", [], []).await,
        }
    }

    pub async fn mget(&self, keys: Vec<Bytes>) -> Result<Vec<Option<Bytes>>, Error> {
        match self {
            Wire::Fred(client) => client.mget(keys).await,
            #[cfg(test)]
            Wire::Simulated(line) => spoken(line, "MGET", [], keys).await,
        }
    }

    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, Error> {
        match self {
            Wire::Fred(client) => client.get(key).await,
            #[cfg(test)]
            Wire::Simulated(line) => spoken(line, "GET", [key], []).await,
        }
    }

    /// `SET key value PX ms`
    pub async fn set(&self, key: &str, value: Bytes, ms: i64) -> Result<(), Error> {
        match self {
            Wire::Fred(client) => {
                let expiry = Some(Expiration::PX(ms));
                client.set(key, value, expiry, None, false).await
            }
            #[cfg(test)]
            Wire::Simulated(line) => {
                let args = [value, "PX".into(), ms.to_string().into()];
                spoken(line, "SET", [key], args).await
            }
        }
    }

    /// `SET key value PX ms NX`: whether there was nothing before.
    pub async fn set_absent(&self, key: &str, value: Bytes, ms: i64) -> Result<bool, Error> {
        let set: Option<String> = match self {
            Wire::Fred(client) => {
                let (expiry, absent) = (Some(Expiration::PX(ms)), Some(SetOptions::NX));
                client.set(key, value, expiry, absent, false).await?
            }
            #[cfg(test)]
            Wire::Simulated(line) => {
                let args = [value, "PX".into(), ms.to_string().into(), "NX".into()];
                spoken(line, "SET", [key], args).await?
            }
        };
        Ok(set.is_some())
    }

    /// `PEXPIRE`
    pub async fn expire(&self, key: &str, ms: i64) -> Result<(), Error> {
        match self {
            Wire::Fred(client) => client.pexpire(key, ms, None).await,
            #[cfg(test)]
            Wire::Simulated(line) => spoken(line, "PEXPIRE", [key], [ms.to_string().into()]).await,
        }
    }

    pub async fn unlink(&self, keys: &[String]) -> Result<(), Error> {
        match self {
            Wire::Fred(client) => client.unlink(keys.to_vec()).await,
            #[cfg(test)]
            Wire::Simulated(line) => {
                spoken(line, "UNLINK", keys.iter().map(String::as_str), []).await
            }
        }
    }

    pub async fn publish(&self, channel: &str, message: String) -> Result<(), Error> {
        match self {
            Wire::Fred(client) => client.publish(channel, message).await,
            #[cfg(test)]
            Wire::Simulated(line) => spoken(line, "PUBLISH", [channel, &message], []).await,
        }
    }

    /// `HSET`: how many fields are new.
    pub async fn hset(&self, key: &str, field: &str, value: Bytes) -> Result<i64, Error> {
        match self {
            Wire::Fred(client) => client.hset(key, (field, value)).await,
            #[cfg(test)]
            Wire::Simulated(line) => spoken(line, "HSET", [key, field], [value]).await,
        }
    }

    /// `HKEYS`
    pub async fn hkeys(&self, key: &str) -> Result<Vec<Bytes>, Error> {
        match self {
            Wire::Fred(client) => client.hkeys(key).await,
            #[cfg(test)]
            Wire::Simulated(line) => spoken(line, "HKEYS", [key], []).await,
        }
    }

    /// `INFO`, of what it tells unasked.
    pub async fn info(&self) -> Result<String, Error> {
        match self {
            Wire::Fred(client) => client.info(None).await,
            #[cfg(test)]
            Wire::Simulated(line) => spoken(line, "INFO", [], []).await,
        }
    }

    /// `INCRBY`: the sum.
    pub async fn incr_by(&self, key: &str, number: i64) -> Result<i64, Error> {
        match self {
            Wire::Fred(client) => client.incr_by(key, number).await,
            #[cfg(test)]
            Wire::Simulated(line) => spoken(line, "INCRBY", [key, &number.to_string()], []).await,
        }
    }

    /// `INFO memory`
    pub async fn info_memory(&self) -> Result<String, Error> {
        match self {
            Wire::Fred(client) => client.info(Some(InfoKind::Memory)).await,
            #[cfg(test)]
            Wire::Simulated(line) => spoken(line, "INFO", ["memory"], []).await,
        }
    }

    pub async fn evalsha<T: FromValue>(
        &self,
        sha1: &str,
        keys: Vec<String>,
        args: Vec<Bytes>,
    ) -> Result<T, Error> {
        match self {
            Wire::Fred(client) => client.evalsha(sha1, keys, args).await,
            #[cfg(test)]
            Wire::Simulated(line) => spoken_script(line, "EVALSHA", sha1, &keys, args).await,
        }
    }

    pub async fn eval<T: FromValue>(
        &self,
        text: &str,
        keys: Vec<String>,
        args: Vec<Bytes>,
    ) -> Result<T, Error> {
        match self {
            Wire::Fred(client) => client.eval(text, keys, args).await,
            #[cfg(test)]
            Wire::Simulated(line) => spoken_script(line, "EVAL", text, &keys, args).await,
        }
    }
}

/// The script, how many keys, the keys, the arguments.
#[cfg(test)]
async fn spoken_script<T: FromValue>(
    line: &Arc<dyn Line>,
    command: &'static str,
    script: &str,
    keys: &[String],
    args: Vec<Bytes>,
) -> Result<T, Error> {
    let count = keys.len().to_string();
    let before = [script, &count].into_iter();
    let words = before.chain(keys.iter().map(String::as_str));
    spoken(line, command, words, args).await
}
